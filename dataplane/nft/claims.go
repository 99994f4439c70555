package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/model"
)

var (
	errProtocol = errors.New("write TCP or UDP")
	errOverlaps = errors.New("another service has this address and port; give one of them another port")
	errEmpty    = errors.New("no address or no port is named")
	errRange    = errors.New("a port range begins above its end or at port 0; write the lower port first")
	errAddress  = errors.New("not an IPv4 or IPv6 address as packets carry them; write it without zone, and IPv4 not within IPv6")
)

// destination is an address and a transport protocol.
type destination struct {
	address  netip.Addr
	protocol uint8
}

// ports are those of a destination: ascending ranges of which no two overlap.
type ports map[destination][]model.PortRange

// portsOf joins what matches name. A port that is named twice counts once.
func portsOf(matches []model.Match) (ports, error) {
	found := ports{}
	for _, m := range matches {
		if err := found.add(m); err != nil {
			return nil, err
		}
	}
	found.merge(nil)
	return found, nil
}

// merge adds other ports and joins what overlaps.
func (p ports) merge(other ports) {
	for d, ranges := range other {
		p[d] = append(p[d], ranges...)
	}
	for d, ranges := range p {
		p[d] = join(ranges)
	}
}

// add adds what a match names, or nothing if a part of it cannot be.
func (p ports) add(m model.Match) error {
	protocol, known := protocols[m.Protocol]
	if !known {
		return fmt.Errorf("protocol %q: %w", m.Protocol, errProtocol)
	}
	ranges := slices.Clone(m.PortRanges)
	for _, port := range m.Ports {
		ranges = append(ranges, model.PortRange{First: port, Last: port})
	}
	if len(m.Addresses) == 0 || len(ranges) == 0 {
		return errEmpty
	}
	for _, r := range ranges {
		if r.First == 0 || r.First > r.Last {
			return fmt.Errorf("ports %d-%d: %w", r.First, r.Last, errRange)
		}
	}
	if at := slices.IndexFunc(m.Addresses, func(a netip.Addr) bool { return !plain(a) }); at >= 0 {
		return fmt.Errorf("address %s: %w", m.Addresses[at], errAddress)
	}
	for _, a := range m.Addresses {
		d := destination{a, protocol}
		p[d] = append(p[d], ranges...)
	}
	return nil
}

// plain tells whether an address is as it stands in packets.
func plain(a netip.Addr) bool { return a.IsValid() && !a.Is4In6() && a.Zone() == "" }

// join sorts ranges and makes those that overlap one.
func join(ranges []model.PortRange) []model.PortRange {
	slices.SortFunc(ranges, func(a, b model.PortRange) int { return int(a.First) - int(b.First) })
	joined := ranges[:1]
	for _, r := range ranges[1:] {
		last := &joined[len(joined)-1]
		if r.First > last.Last {
			joined = append(joined, r)
		} else {
			last.Last = max(last.Last, r.Last)
		}
	}
	return joined
}

// claim adds all ports of own or, if one is taken, none.
func (p ports) claim(own ports) error {
	for d, ranges := range own {
		for _, r := range ranges {
			if at, free := p.find(d, r); !free {
				return fmt.Errorf("%s port %d: %w", d.address, max(r.First, p[d][at].First), errOverlaps)
			}
		}
	}
	for d, ranges := range own {
		for _, r := range ranges {
			at, _ := p.find(d, r)
			p[d] = slices.Insert(p[d], at, r)
		}
	}
	return nil
}

// find returns where r belongs among the ranges of d, or the first that overlaps it.
func (p ports) find(d destination, r model.PortRange) (at int, free bool) {
	at, _ = slices.BinarySearchFunc(p[d], r.First, func(there model.PortRange, first uint16) int {
		if there.Last < first {
			return -1
		}
		return 1
	})
	return at, at == len(p[d]) || p[d][at].First > r.Last
}

// elements puts single ports into the set exact, which is a hash, and others into ranges.
func (p ports) elements(exact, ranges, value string) []Element {
	var all []Element
	for d, list := range p {
		for _, r := range list {
			e := Element{Set: exact + suffix(d.address), Key: destinationKey(d.address, d.protocol, r.First), Value: value}
			if r.First != r.Last {
				e.Set = ranges + suffix(d.address)
				e.End = destinationKey(d.address, d.protocol, r.Last)
			}
			all = append(all, e)
		}
	}
	return all
}
