package direct

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	mdlayher "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/health"
)

// routeProtocol marks our routes (rtm_protocol of linux/rtnetlink.h; values from 5 are free).
const routeProtocol = 84

// netlinkTimeout cuts a kernel call that does not come back.
const netlinkTimeout = 5 * time.Second

func connect() (*nftables.Conn, error) {
	return nftables.New(nftables.WithSockOptions(func(c *mdlayher.Conn) error {
		return c.SetDeadline(time.Now().Add(netlinkTimeout))
	}))
}

// family is one address family on this host.
type family struct {
	layout
	aliases *aliases
	known   map[pair]way
	ready   bool
	// swept says that nothing of ours is in the kernel.
	swept bool
	// examined is when the kernel was last looked at after a failure.
	examined time.Time
}

func newFamily(pool netip.Prefix) *family {
	return &family{layout: layoutOf(pool.Addr().Is6()), aliases: newAliases(pool), known: map[pair]way{}}
}

func (f *family) number() int {
	if f.size == 16 {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// prepare makes the empty table, removes what an earlier run left and closes the pool: without a
// route of its own, an alias must not go to the default gateway.
func (f *family) prepare() error {
	conn, err := connect()
	if err != nil {
		return err
	}
	if err := errors.Join(f.program(conn, f.aliases.pool), conn.Flush()); err != nil {
		return fmt.Errorf("nftables table %s: %w", tableName, err)
	}
	if err := f.removeRoutes(); err != nil {
		return err
	}
	err = netlink.RouteReplace(&netlink.Route{Dst: ipNet(f.aliases.pool), Type: unix.RTN_UNREACHABLE, Protocol: routeProtocol, Family: f.number()})
	if err != nil {
		return fmt.Errorf("unreachable route to %v: %w", f.aliases.pool, err)
	}
	f.ready = true
	return nil
}

// remove takes table and routes away.
func (f *family) remove() error {
	conn, err := connect()
	if err != nil {
		return err
	}
	conn.DelTable(f.table())
	err = conn.Flush()
	if errors.Is(err, unix.ENOENT) {
		err = nil
	}
	f.ready = false
	return errors.Join(err, f.removeRoutes())
}

// removeRoutes removes our routes into the pool.
func (f *family) removeRoutes() error {
	routes, err := netlink.RouteListFiltered(f.number(), &netlink.Route{Protocol: routeProtocol}, netlink.RT_FILTER_PROTOCOL)
	if err != nil {
		return fmt.Errorf("read routes: %w", err)
	}
	var failures []error
	for _, r := range routes {
		if r.Dst != nil && f.aliases.pool.Contains(addrOf(r.Dst.IP)) {
			failures = append(failures, netlink.RouteDel(&r))
		}
	}
	return errors.Join(failures...)
}

// sweep removes what is there, if anything is.
func (f *family) sweep() error {
	if f.swept {
		return nil
	}
	conn, err := connect()
	if err != nil {
		return err
	}
	tables, err := conn.ListTablesOfFamily(f.layout.family)
	if err != nil {
		return fmt.Errorf("read the tables of nftables: %w", err)
	}
	if slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName }) {
		err = f.remove()
	} else {
		err = f.removeRoutes()
	}
	f.ready, f.swept = false, err == nil
	return err
}

// errOwnHost: the server is this host itself.
var errOwnHost = errors.New("the server is this host")

// way is how this host reaches a server.
type way struct {
	source netip.Addr
	link   int
}

// wayTo asks the kernel; servers that are not neighbours are health.ErrOffSegment.
func wayTo(p pair) (way, error) {
	routes, err := netlink.RouteGet(net.IP(p.server.AsSlice()))
	if err != nil || len(routes) == 0 {
		return way{}, fmt.Errorf("route to %v: %w", p.server, errors.Join(err, unix.EHOSTUNREACH))
	}
	r := routes[0]
	if r.Type == unix.RTN_LOCAL {
		return way{}, errOwnHost
	}
	if r.Gw != nil || r.Via != nil {
		return way{}, fmt.Errorf("%v is no neighbour of this host: %w", p.server, health.ErrOffSegment)
	}
	source, err := ownAddress(r.LinkIndex, p, addrOf(r.Src))
	return way{source: source, link: r.LinkIndex}, err
}

// ownAddress returns the interface's address on the network of the server. Virtual IP addresses are held
// with host prefixes and so are none. A host whose own address has one too, as DHCPv6 gives them (RFC 8415
// section 21.6), uses what the kernel chose for the server.
func ownAddress(index int, p pair, chosen netip.Addr) (netip.Addr, error) {
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("interface %d: %w: %w", index, health.ErrUnprepared, err)
	}
	family := unix.AF_INET6
	if p.server.Is4() {
		family = unix.AF_INET
	}
	list, err := netlink.AddrList(link, family)
	if source, found := sourceOf(list, p, chosen); found {
		return source, nil
	}
	return netip.Addr{}, fmt.Errorf("%s has no address on the network of %v: %w", link.Attrs().Name, p.server, errors.Join(health.ErrUnprepared, err))
}

// virtualLabel ends the label of IPv4 addresses that dataplane/netif put on an interface. Those of IPv6
// are deprecated.
const virtualLabel = ":tp"

// sourceOf chooses among the addresses of an interface.
func sourceOf(list []netlink.Addr, p pair, chosen netip.Addr) (netip.Addr, bool) {
	var fallback bool
	for _, a := range list {
		own := addrOf(a.IP)
		if a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) != 0 || own == p.vip {
			continue
		}
		if ones, bits := a.Mask.Size(); ones < bits && a.Contains(net.IP(p.server.AsSlice())) {
			return own, true
		}
		fallback = fallback || own == chosen && a.Flags&unix.IFA_F_DEPRECATED == 0 && !strings.HasSuffix(a.Label, virtualLabel)
	}
	return chosen, fallback
}

// add programs one alias, or mends it.
func (f *family) add(p pair, x netip.Addr, w way) error {
	route := &netlink.Route{
		Dst: ipNet(netip.PrefixFrom(x, x.BitLen())), Gw: net.IP(p.server.AsSlice()), LinkIndex: w.link,
		Src: net.IP(w.source.AsSlice()), Flags: int(netlink.FLAG_ONLINK), Protocol: routeProtocol,
	}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("route to %v by %v: %w", p.vip, p.server, err)
	}
	conn, err := connect()
	if err != nil {
		return err
	}
	err = errors.Join(
		conn.SetAddElements(f.out(), []nftables.SetElement{{Key: x.AsSlice(), Val: p.vip.AsSlice()}}),
		conn.SetAddElements(f.vips(), []nftables.SetElement{{Key: p.vip.AsSlice()}}),
		conn.Flush())
	if err != nil {
		return fmt.Errorf("nftables table %s: %w", tableName, err)
	}
	return nil
}

// forget removes one alias; the VIP stays in its set until Close, where it does no harm. An error is
// left to the next prepare.
func (f *family) forget(p pair) {
	x := f.aliases.of[p]
	_ = netlink.RouteDel(&netlink.Route{Dst: ipNet(netip.PrefixFrom(x, x.BitLen())), Protocol: routeProtocol})
	if conn, err := connect(); err == nil {
		if conn.SetDeleteElements(f.out(), []nftables.SetElement{{Key: x.AsSlice(), Val: p.vip.AsSlice()}}) == nil {
			_ = conn.Flush()
		}
	}
	delete(f.known, p)
	f.aliases.drop(p)
}

// intact tells whether route, element and rules of an alias are there.
func (f *family) intact(x netip.Addr, p pair) bool {
	routes, err := netlink.RouteGet(net.IP(x.AsSlice()))
	if err != nil || len(routes) == 0 || addrOf(routes[0].Gw) != p.server {
		return false
	}
	conn, err := connect()
	if err != nil {
		return false
	}
	rules := 0
	for _, name := range []string{"outward", "inward"} {
		list, err := conn.GetRules(f.table(), &nftables.Chain{Name: name, Table: f.table()})
		if err != nil {
			return false
		}
		rules += len(list)
	}
	elements, err := conn.GetSetElements(f.out())
	return err == nil && rules == 3 && slices.ContainsFunc(elements, func(e nftables.SetElement) bool {
		return bytes.Equal(e.Key, x.AsSlice()) && bytes.Equal(e.Val, p.vip.AsSlice())
	})
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: net.IP(p.Addr().AsSlice()), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}
