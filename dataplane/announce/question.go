package announce

import "net/netip"

// purpose is why an address is asked for.
type purpose int

const (
	// takeover: the asker is about to take the address and must not claim anything.
	takeover purpose = iota
	// watch: the asker wants to know who has the address without any other host noticing.
	watch
)

// questionFor returns the packet that asks for an address and where it goes. Who watches asks
// with an address of his own as sender: hosts with arp_ignore=2 answer senders of their subnet
// only, and IPv6 hosts answer a sender without address by telling the whole link.
func questionFor(at Interface, address netip.Addr, purpose purpose) (to MAC, packet []byte) {
	sender := netip.Addr{}
	if purpose == watch {
		sender = senderFor(at.Addresses, address)
	}
	switch {
	case address.Is6() && sender.IsValid():
		return groupMAC(solicitedNode(address)), neighborQuestion(at.MAC, sender, address).Append(nil)
	case address.Is6():
		return groupMAC(solicitedNode(address)), neighborProbe(address).Append(nil)
	}
	question := probe(at.MAC, address)
	if sender.IsValid() {
		question.SenderIP = sender
	}
	return everybody(), question.Append(nil)
}

// senderFor returns the address to ask with: for IPv6 a link-local one, for IPv4 one of the asked
// address's network. Virtual addresses have host prefixes and are never chosen; the zero value if
// there is none.
func senderFor(own []netip.Prefix, address netip.Addr) netip.Addr {
	for _, p := range own {
		switch {
		case p.Addr() == address || p.IsSingleIP():
		case address.Is6() && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast():
			return p.Addr()
		case address.Is4() && p.Contains(address):
			return p.Addr()
		}
	}
	return netip.Addr{}
}

// groupsOf returns the groups in which others speak of an address.
func groupsOf(address netip.Addr) []MAC {
	if address.Is4() {
		return nil
	}
	return []MAC{groupMAC(allNodes()), groupMAC(solicitedNode(address))}
}

// sighting is what a packet shows of a host.
type sighting struct {
	mac MAC
	// holds: the host has the address; else it wants it too.
	holds bool
}

// sight returns what a packet shows about an address; false if nothing, or if it cannot be read:
// what is on the wire is not ours to judge.
func sight(b []byte, from MAC, address netip.Addr) (sighting, bool) {
	if address.Is4() {
		p, err := Parse(b)
		return sighting{mac: p.SenderMAC, holds: p.SenderIP == address}, err == nil && p.claims(address)
	}
	n, err := ParseNeighbor(b)
	if err != nil {
		return sighting{}, false
	}
	s := sighting{mac: from, holds: n.holds(address)}
	if n.LinkLayer != (MAC{}) {
		s.mac = n.LinkLayer
	}
	return s, s.mac != MAC{} && (s.holds || n.wants(address))
}

// holds tells whether the sender has the address: it advertises it or speaks with it.
func (n Neighbor) holds(address netip.Addr) bool {
	return n.Type == Advertisement && n.Target == address || n.Source == address
}

// wants tells whether the sender is about to take the address (RFC 4862 section 5.4.3).
func (n Neighbor) wants(address netip.Addr) bool {
	return n.Type == Solicitation && n.Source.IsUnspecified() && n.Target == address
}
