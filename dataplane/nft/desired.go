package nft

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/model"
)

// Desired is everything that the table does. The zero value needs no table.
type Desired struct {
	// Services are the layer 4 services of this director: packets to them get their marks.
	Services []model.VirtualService
	// Guarded are the virtual IP addresses of this host, as director or as real server, of
	// which only the destinations of Services and Declared answer, and ICMP and ICMPv6.
	Guarded []netip.Addr
	// Declared are further destinations that may answer: those of layer 7 listeners, and on a
	// real server those of the services it serves.
	Declared []model.Match
	// PeerMACs are the Ethernet addresses of the other directors: frames from them get no
	// mark, so what a peer's IPVS sends here is not balanced again.
	PeerMACs []net.HardwareAddr
	// Resets are TCP connections of which both ends are to be told that they are over.
	Resets []Flow
	// Clamps lower the segment size that a real server offers its clients.
	Clamps []Clamp
}

// Flow is a connection of a client.
type Flow struct {
	// Client is the client's address and port, VIP the virtual one it is connected to.
	Client, VIP netip.AddrPort
}

// Clamp is the largest TCP segment (RFC 9293 section 3.7.1) that connections to an address of
// this host may offer. Of several sizes of one family the smallest holds for all its addresses.
type Clamp struct {
	// Address is the virtual IP address that clients connect to.
	Address netip.Addr
	// MSS is in bytes: for IPIP the MTU of the path from director to server less 60, for IPv6 in
	// IPv6 less 100. A connection that offers less keeps what it offers.
	MSS uint16
}

var (
	errNoMark   = errors.New("the service has the firewall mark 0, which means no mark")
	errSameMark = errors.New("another service has this firewall mark; set another range of marks")
	errFamilies = errors.New("the service has addresses of IPv4 and IPv6; it needs one entry for each")
	errMAC      = errors.New("not an Ethernet address of six bytes")
	errFlow     = errors.New("client and virtual address of a connection must be of one family")
	errClamp    = errors.New("a largest segment of 0 bytes lets nothing through; leave the clamp away")
)

// digest is the same for what is the same. Weights and states of servers, which change most often, do
// not matter to the table.
func (d *Desired) digest() ([sha256.Size]byte, error) {
	lasting := *d
	lasting.Services = slices.Clone(d.Services)
	for i := range lasting.Services {
		s := &lasting.Services[i]
		s.Servers = slices.Clone(s.Servers)
		for j := range s.Servers {
			s.Servers[j].Weight, s.Servers[j].State = 0, ""
		}
	}
	text, err := json.Marshal(lasting)
	return sha256.Sum256(text), err
}

// want is the table that is desired.
type want struct {
	shape    Shape
	services ports // what services answer on
	elements map[string]Element
	lapses   bool // some elements vanish by themselves
}

func (w *want) add(all ...Element) {
	for _, e := range all {
		w.elements[e.id()] = e
	}
}

// table turns Desired into the table. Items that contradict an earlier one, or themselves, are
// left out and come back as errors.
func (d *Desired) table() (want, []error) {
	w := want{services: ports{}, elements: map[string]Element{}}
	errs := w.addServices(d.Services)
	errs = append(errs, w.addGuard(d.Guarded, d.Declared)...)
	errs = append(errs, w.addResets(d.Resets)...)
	errs = append(errs, w.addClamps(d.Clamps)...)
	return w, append(errs, w.addPeers(d.PeerMACs)...)
}

func (w *want) addServices(all []model.VirtualService) []error {
	var errs []error
	marks := map[string]bool{}
	for _, s := range all {
		if err := w.addService(&s, marks); err != nil {
			errs = append(errs, &model.ItemError{Key: s.Key, Reason: ReasonKernelRefused, Err: err})
		}
	}
	return errs
}

func (w *want) addService(s *model.VirtualService, marks map[string]bool) error {
	if s.Mark == 0 {
		return errNoMark
	}
	own, err := portsOf(s.Matches())
	if err != nil {
		return err
	}
	end := suffix(s.Addresses[0])
	for d := range own {
		if suffix(d.address) != end {
			return errFamilies
		}
	}
	mark := markBytes(s.Mark)
	if marks[end+mark] {
		return fmt.Errorf("mark %#x: %w", s.Mark, errSameMark)
	}
	if err := w.services.claim(own); err != nil {
		return err
	}
	marks[end+mark] = true
	w.shape.Director = true
	w.add(own.elements(setServices, setRanges, mark)...)
	w.add(Element{Set: setMarks, Key: mark})
	for d := range own {
		w.add(Element{Set: setBalanced + end, Key: string(d.address.AsSlice())})
	}
	w.addForwarding(s, own, end, mark)
	return nil
}

func (w *want) addForwarding(s *model.VirtualService, own ports, end, mark string) {
	untracked, masquerade := treatment(s)
	if untracked {
		w.add(own.elements(setUntracked, setUntrackedRanges, "")...)
	}
	for _, address := range behind(s) {
		w.shape.Gateway = true
		w.add(Element{Set: setBehind + end, Key: string(address.AsSlice())})
	}
	if !masquerade {
		return
	}
	w.shape.Masquerade = true
	w.add(Element{Set: setMasquerade + end, Key: mark})
	for d := range own {
		w.add(Element{Set: setVirtual + end, Key: string(d.address.AsSlice())})
	}
}

// treatment tells what the ways of forwarding of a service need. A fallback server may have
// another than the others: one that needs connection tracking makes the service tracked.
func treatment(s *model.VirtualService) (untracked, masquerade bool) {
	ways := map[model.Forwarding]bool{}
	for _, server := range s.Servers {
		if server.Forwarding == "" {
			ways[s.Forwarding] = true
		} else {
			ways[server.Forwarding] = true
		}
	}
	if len(ways) == 0 {
		ways[s.Forwarding] = true
	}
	masquerade = ways[model.SNAT]
	return !masquerade && !ways[model.NAT] && (ways[model.DirectRouting] || ways[model.Tunnel]), masquerade
}

// behind are the servers of a service's family that have this host as gateway.
func behind(s *model.VirtualService) []netip.Addr {
	var all []netip.Addr
	for _, server := range s.Servers {
		if cmp.Or(server.Forwarding, s.Forwarding) == model.NAT && plain(server.Address) && server.Address.Is6() == s.IPv6() {
			all = append(all, server.Address)
		}
	}
	return all
}

func (w *want) addGuard(guarded []netip.Addr, declared []model.Match) []error {
	var errs []error
	for _, a := range guarded {
		if !plain(a) {
			errs = append(errs, fmt.Errorf("nft: guard address %s: %w", a, errAddress))
			continue
		}
		w.shape.Guard = true
		w.add(Element{Set: setGuarded + suffix(a), Key: string(a.AsSlice())})
	}
	if !w.shape.Guard {
		return errs
	}
	open := ports{}
	for _, m := range declared {
		if err := open.add(m); err != nil {
			errs = append(errs, fmt.Errorf("nft: declare a port: %w", err))
		}
	}
	open.merge(w.services)
	w.add(open.elements(setOpen, setOpenRanges, "")...)
	return errs
}

func (w *want) addResets(all []Flow) []error {
	var errs []error
	for _, f := range all {
		if !plain(f.Client.Addr()) || !plain(f.VIP.Addr()) || f.Client.Addr().Is4() != f.VIP.Addr().Is4() {
			errs = append(errs, fmt.Errorf("nft: reset a connection to %s: %w", f.VIP, errFlow))
			continue
		}
		w.shape.Director, w.lapses = true, true
		w.add(Element{Set: setResets + suffix(f.VIP.Addr()), Key: flowKey(f.Client, f.VIP), Timeout: resetLife})
	}
	return errs
}

func (w *want) addClamps(all []Clamp) []error {
	var errs []error
	for _, c := range all {
		switch {
		case !plain(c.Address):
			errs = append(errs, fmt.Errorf("nft: clamp at address %s: %w", c.Address, errAddress))
		case c.MSS == 0:
			errs = append(errs, fmt.Errorf("nft: clamp at address %s: %w", c.Address, errClamp))
		default:
			size := &w.shape.Clamp6
			if c.Address.Is4() {
				size = &w.shape.Clamp4
			}
			// One less than 0 is the largest number.
			*size = min(*size-1, c.MSS-1) + 1
			w.add(Element{Set: setClamp + suffix(c.Address), Key: string(c.Address.AsSlice())})
		}
	}
	return errs
}

// addPeers comes last: where nothing is marked, peers need no set.
func (w *want) addPeers(all []net.HardwareAddr) []error {
	var errs []error
	for _, mac := range all {
		switch {
		case len(mac) != lengthMAC:
			errs = append(errs, fmt.Errorf("nft: peer %q: %w", mac.String(), errMAC))
		case w.shape.Director:
			w.add(Element{Set: setPeers, Key: string(mac)})
		}
	}
	return errs
}
