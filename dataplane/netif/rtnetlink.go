package netif

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ifaProto is IFA_PROTO (linux/if_addr.h, since Linux 5.18).
const ifaProto = 11

// dumpAttempts is how often a listing is repeated that the kernel says was interrupted by a
// change; each is a few microseconds.
const dumpAttempts = 10

// Rtnetlink is the kernel of the calling thread's network namespace. Each call opens its own
// socket, so nothing stays open between calls and no answer of an earlier call can be taken for
// one of a later call.
type Rtnetlink struct{}

var _ Kernel = Rtnetlink{}

// Links implements Kernel.
func (Rtnetlink) Links() ([]Link, error) {
	found, err := complete(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	links := make([]Link, 0, len(found))
	for _, l := range found {
		links = append(links, linkOf(l))
	}
	return links, nil
}

func linkOf(l netlink.Link) Link {
	a := l.Attrs()
	return Link{
		Kind:     kindOf(l),
		Master:   a.MasterIndex,
		Name:     a.Name,
		Index:    a.Index,
		MAC:      a.HardwareAddr,
		MTU:      a.MTU,
		Up:       a.RawFlags&unix.IFF_UP != 0,
		Carrier:  a.RawFlags&unix.IFF_RUNNING != 0,
		Loopback: a.RawFlags&unix.IFF_LOOPBACK != 0,
	}
}

// kindOf returns IFLA_INFO_KIND; the library names interfaces without one "device".
func kindOf(l netlink.Link) string {
	if _, card := l.(*netlink.Device); card {
		return ""
	}
	return l.Type()
}

// Addresses implements Kernel.
func (r Rtnetlink) Addresses() ([]Address, error) {
	names, err := r.names()
	if err != nil {
		return nil, err
	}
	messages, err := complete(func() ([][]byte, error) {
		request := nl.NewNetlinkRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP)
		request.AddData(nl.NewIfAddrmsg(unix.AF_UNSPEC))
		return request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWADDR)
	})
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	addresses := make([]Address, 0, len(messages))
	for _, m := range messages {
		if a, ok := parseAddress(m); ok {
			a.Interface = names[a.Index]
			addresses = append(addresses, a)
		}
	}
	return addresses, nil
}

func (r Rtnetlink) names() (map[int]string, error) {
	links, err := r.Links()
	names := make(map[int]string, len(links))
	for _, l := range links {
		names[l.Index] = l.Name
	}
	return names, err
}

// Gateways implements Kernel.
func (Rtnetlink) Gateways() ([]Gateway, error) {
	routes, err := complete(func() ([]netlink.Route, error) {
		return netlink.RouteList(nil, netlink.FAMILY_ALL)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var gateways []Gateway
	for _, r := range routes {
		gateways = append(gateways, gatewaysOf(r)...)
	}
	return gateways, nil
}

func gatewaysOf(r netlink.Route) []Gateway {
	if r.Dst != nil {
		if ones, _ := r.Dst.Mask.Size(); ones != 0 {
			return nil
		}
	}
	hops := append([]*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw}}, r.MultiPath...)
	var gateways []Gateway
	for _, hop := range hops {
		if address, ok := netip.AddrFromSlice(hop.Gw); ok {
			gateways = append(gateways, Gateway{Index: hop.LinkIndex, Address: address.Unmap()})
		}
	}
	return gateways
}

// AddAddress implements Kernel.
func (Rtnetlink) AddAddress(a Address) error {
	return writeAddress(a, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
}

// ChangeAddress implements Kernel.
func (Rtnetlink) ChangeAddress(a Address) error {
	return writeAddress(a, unix.NLM_F_CREATE|unix.NLM_F_REPLACE)
}

func writeAddress(a Address, flags int) error {
	request := nl.NewNetlinkRequest(unix.RTM_NEWADDR, flags|unix.NLM_F_ACK)
	addMessage(request, a)
	if a.Prefix.Addr().Is6() {
		addIPv6(request, a)
	}
	if a.Proto != 0 {
		request.AddData(nl.NewRtAttr(ifaProto, nl.Uint8Attr(a.Proto)))
	}
	if a.Label != "" && a.Prefix.Addr().Is4() {
		request.AddData(nl.NewRtAttr(unix.IFA_LABEL, nl.ZeroTerminated(a.Label)))
	}
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// RemoveAddress implements Kernel.
func (Rtnetlink) RemoveAddress(a Address) error {
	request := nl.NewNetlinkRequest(unix.RTM_DELADDR, unix.NLM_F_ACK)
	addMessage(request, a)
	_, err := request.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// addIPv6 adds what IPv6 addresses have. Duplicate address detection is off (IFA_F_NODAD): a
// takeover must not wait a second for it, and whether another host has the address was asked
// before.
func addIPv6(request *nl.NetlinkRequest, a Address) {
	flags := uint32(unix.IFA_F_NODAD)
	if a.Passive {
		flags |= unix.IFA_F_NOPREFIXROUTE
		request.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, deprecated()))
	}
	request.AddData(nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(flags)))
	if a.Metric != 0 {
		request.AddData(nl.NewRtAttr(unix.IFA_RT_PRIORITY, nl.Uint32Attr(a.Metric)))
	}
}

// deprecated is struct ifa_cacheinfo (linux/if_addr.h): preferred for no time, valid for ever.
func deprecated() []byte {
	b := make([]byte, unix.SizeofIfaCacheinfo)
	nl.NativeEndian().PutUint32(b[4:], ^uint32(0))
	return b
}

// addMessage fills in struct ifaddrmsg and the address.
func addMessage(request *nl.NetlinkRequest, a Address) {
	address := a.Prefix.Addr()
	family := unix.AF_INET
	if !address.Is4() {
		family = unix.AF_INET6
	}
	message := nl.NewIfAddrmsg(family)
	message.Index = uint32(a.Index)
	message.Prefixlen = uint8(a.Prefix.Bits())
	message.Scope = uint8(a.Scope)
	request.AddData(message)
	request.AddData(nl.NewRtAttr(unix.IFA_LOCAL, address.AsSlice()))
	request.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, address.AsSlice()))
}

// parseAddress reads an RTM_NEWADDR message. IPv4 carries the own address in IFA_LOCAL and the
// peer's in IFA_ADDRESS; IPv6 carries the own one in IFA_ADDRESS, unless it has a peer.
func parseAddress(m []byte) (Address, bool) {
	if len(m) < unix.SizeofIfAddrmsg {
		return Address{}, false
	}
	message := nl.DeserializeIfAddrmsg(m)
	attributes, err := nl.ParseRouteAttr(m[unix.SizeofIfAddrmsg:])
	if err != nil {
		return Address{}, false
	}
	a := Address{Index: int(message.Index), Scope: Scope(message.Scope)}
	a.Passive = message.Family == unix.AF_INET6 && message.Flags&unix.IFA_F_DEPRECATED != 0
	var local, address netip.Addr
	for _, attribute := range attributes {
		switch attribute.Attr.Type {
		case unix.IFA_LOCAL:
			local, _ = netip.AddrFromSlice(attribute.Value)
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(attribute.Value)
		case unix.IFA_LABEL:
			a.Label = unix.ByteSliceToString(attribute.Value)
		case ifaProto:
			a.Proto = attribute.Value[0]
		case unix.IFA_RT_PRIORITY:
			a.Metric = nl.NativeEndian().Uint32(attribute.Value)
		}
	}
	if !local.IsValid() {
		local = address
	}
	a.Prefix = netip.PrefixFrom(local, int(message.Prefixlen))
	return a, a.Prefix.IsValid()
}

// complete repeats a listing until the kernel says that nothing changed meanwhile.
func complete[T any](list func() (T, error)) (T, error) {
	var all T
	err := error(netlink.ErrDumpInterrupted)
	for range dumpAttempts {
		all, err = list()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return all, fmt.Errorf("interfaces or addresses keep changing: %w", err)
}
