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
		links = append(links, linkOf(l.Attrs()))
	}
	return links, nil
}

func linkOf(a *netlink.LinkAttrs) Link {
	return Link{
		Name:     a.Name,
		Index:    a.Index,
		MAC:      a.HardwareAddr,
		MTU:      a.MTU,
		Up:       a.RawFlags&unix.IFF_UP != 0,
		Carrier:  a.RawFlags&unix.IFF_RUNNING != 0,
		Loopback: a.RawFlags&unix.IFF_LOOPBACK != 0,
	}
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
	request := nl.NewNetlinkRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	addMessage(request, a)
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

// addMessage fills in struct ifaddrmsg and the address. Duplicate address detection is off for
// IPv6 (IFA_F_NODAD): a takeover must not wait a second for it.
func addMessage(request *nl.NetlinkRequest, a Address) {
	address := a.Prefix.Addr()
	family, flags := unix.AF_INET, 0
	if !address.Is4() {
		family, flags = unix.AF_INET6, unix.IFA_F_NODAD
	}
	message := nl.NewIfAddrmsg(family)
	message.Index = uint32(a.Index)
	message.Prefixlen = uint8(a.Prefix.Bits())
	message.Scope = uint8(a.Scope)
	message.Flags = uint8(flags)
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
