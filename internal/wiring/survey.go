package wiring

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/nft"
	"github.com/truepacs/balancer/dataplane/preflight"
	"github.com/truepacs/balancer/internal/translate"
)

// surveyEvery is the time between two surveys.
const surveyEvery = 2 * time.Second

// surveyor gathers facts for preflight.Judge. It leaves nothing in the kernel.
type surveyor struct {
	host   preflight.Host
	netif  *netif.Driver
	prober announce.Prober
	ipvs   *ipvs.Driver
	// replies remembers across surveys, which come one after the other.
	replies *preflight.Replies
	nft     *nft.Driver
	marks   translate.MarkRange

	// asked is when the segment was last asked, of whom what for.
	asked      time.Time
	askedAbout segment

	holders rotation[netip.Addr, []net.HardwareAddr]
	servers rotation[netip.Addr, preflight.Server]
	// accepts has for each server which virtual IPs it is silent on; by Survey only.
	accepts map[netip.Addr]*rotation[netip.AddrPort, bool]
}

// Survey implements agent.Surveyor. What cannot be read raises no finding; the error says why. What
// packets showed lasts for less than the time between two surveys, so it is read at both ends.
func (s *surveyor) Survey(ctx context.Context, node model.Node) ([]model.Finding, error) {
	if node.Empty() {
		return []model.Finding{}, nil
	}
	facts := preflight.Facts{Marks: ^uint32(0) << s.marks.Bits}
	before, errBefore := s.nft.Seen(ctx)
	errs := []error{errBefore, s.interfaces(ctx, &facts), s.neighbours(ctx, node, &facts), s.settings(ctx, node, &facts)}
	after, errAfter := s.nft.Seen(ctx)
	s.packets(&facts, before, after)
	return append([]model.Finding{}, preflight.Judge(node, facts)...), errors.Join(append(errs, errAfter)...)
}

// packets adds what packets showed. Answers to questions of this host itself are as they should be.
func (s *surveyor) packets(facts *preflight.Facts, all ...nft.Seen) {
	facts.Through, facts.Unmarked = map[netip.Addr][]net.HardwareAddr{}, map[preflight.Destination]bool{}
	for _, seen := range all {
		for _, r := range seen.Through {
			known := slices.ContainsFunc(facts.Through[r.VIP], func(mac net.HardwareAddr) bool { return bytes.Equal(mac, r.MAC) })
			if !known && !ownAddress(facts.Interfaces, r.Client) {
				facts.Through[r.VIP] = append(facts.Through[r.VIP], r.MAC)
			}
		}
		for _, d := range seen.Unmarked {
			facts.Unmarked[preflight.Destination(d)] = true
		}
	}
	for _, macs := range facts.Through {
		slices.SortFunc(macs, func(a, b net.HardwareAddr) int { return bytes.Compare(a, b) })
	}
}

func ownAddress(interfaces []preflight.Interface, a netip.Addr) bool {
	return slices.ContainsFunc(interfaces, func(i preflight.Interface) bool {
		return slices.ContainsFunc(i.Addresses, func(p netip.Prefix) bool { return p.Addr() == a })
	})
}

// interfaces reads what interfaces this host has.
func (s *surveyor) interfaces(ctx context.Context, facts *preflight.Facts) error {
	all, err := s.netif.Interfaces(ctx)
	for _, i := range all {
		if i.Loopback || !i.Up {
			continue
		}
		known, errOf := s.host.Interface(preflight.Interface{Name: i.Name, Index: i.Index, MTU: i.MTU, Addresses: i.Addresses})
		facts.Interfaces = append(facts.Interfaces, known)
		err = errors.Join(err, errOf)
	}
	return err
}

// settings reads what this host is set to. It takes no time and comes last, so that what is said is
// how things are.
func (s *surveyor) settings(ctx context.Context, node model.Node, facts *preflight.Facts) (err error) {
	var errs []error
	note := func(err error) { errs = append(errs, err) }
	for i := range facts.Interfaces {
		facts.Interfaces[i], err = s.host.Interface(facts.Interfaces[i])
		note(err)
	}
	if slices.ContainsFunc(facts.Interfaces, func(i preflight.Interface) bool { return i.RPFilter == 1 }) {
		facts.Exits, err = s.host.Exits()
		note(err)
	}
	facts.Forwarding, err = s.host.Forwarding()
	facts.Toward = toward(node, netif.Rtnetlink{}.Routes())
	note(err)
	facts.Sockets, err = s.host.Sockets(node)
	note(err)
	facts.IPVS.Services, facts.IPVS.Count, err = s.ipvs.Foreign(ctx, 3)
	facts.IPVS.KubeProxy = s.host.KubeProxy()
	note(err)
	facts.Unanswered, err = s.unanswered(ctx, node)
	note(err)
	return errors.Join(errs...)
}

// toward is the interface by which each server of SNAT over IPv4 is reached; those of whom that is not
// known now are left out, which the agent reports.
func toward(node model.Node, route func(netip.Addr) (string, error)) map[netip.Addr]string {
	found := map[netip.Addr]string{}
	for i := range node.Services {
		for _, server := range node.Services[i].Servers {
			if cmp.Or(server.Forwarding, node.Services[i].Forwarding) != model.SNAT || !server.Address.Is4() {
				continue
			}
			if name, err := route(server.Address); err == nil {
				found[server.Address] = name
			}
		}
	}
	return found
}

// unanswered reads the kernel's counters of services that have servers whose replies have to come back.
func (s *surveyor) unanswered(ctx context.Context, node model.Node) (map[string][]netip.Addr, error) {
	now := map[preflight.Route]preflight.Traffic{}
	for i := range node.Services {
		service := &node.Services[i]
		watched := map[netip.Addr]bool{}
		for _, server := range service.Servers {
			watched[server.Address] = preflight.MustAnswer(service, server)
		}
		if !slices.Contains(slices.Collect(maps.Values(watched)), true) {
			continue
		}
		all, err := s.ipvs.Traffic(ctx, service.Mark, service.IPv6())
		if err != nil {
			return nil, err
		}
		for address, counters := range all {
			if route := (preflight.Route{Service: service.Key, Server: address.Addr()}); watched[address.Addr()] {
				now[route] = preflight.Traffic{To: now[route].To + counters.PacketsIn, From: now[route].From + counters.PacketsOut}
			}
		}
	}
	return s.replies.Unanswered(now), nil
}
