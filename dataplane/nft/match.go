package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/model"
)

// Match is what a packet is matched by: its destination.
type Match struct {
	// Address is the destination address, IPv4.
	Address netip.Addr
	// Protocol is the IP protocol number.
	Protocol uint8
	// Port is the destination port.
	Port uint16
}

// Element is a match with the mark that its packets get.
type Element struct {
	Match
	Mark uint32
}

// matchLength is the length of a match as the kernel has it, in bytes: each of the three parts
// begins at a register of four bytes.
const matchLength = 12

// bytes returns the match as the kernel has it. Their order is the order of matches.
func (m Match) bytes() []byte {
	b := make([]byte, matchLength)
	copy(b, m.Address.AsSlice())
	b[4] = m.Protocol
	binary.BigEndian.PutUint16(b[8:], m.Port)
	return b
}

func parseMatch(b []byte) (Match, bool) {
	if len(b) != matchLength {
		return Match{}, false
	}
	return Match{
		Address:  netip.AddrFrom4([4]byte(b)),
		Protocol: b[4],
		Port:     binary.BigEndian.Uint16(b[8:]),
	}, true
}

// protocols are the IP protocol numbers of transport protocols.
var protocols = map[model.Protocol]uint8{model.TCP: unix.IPPROTO_TCP}

var (
	errNoMark     = errors.New("the service has the firewall mark 0, which means no mark")
	errProtocol   = errors.New("this version marks TCP only")
	errFamily     = errors.New("this version marks IPv4 only")
	errOverlaps   = errors.New("another service has this address and port; give one of them another port")
	errEmpty      = errors.New("the service has no address or no port")
	errNotApplied = errors.New("the firewall table is not as it was just written; another program changes it: find it with `nft monitor`")
)

// desired turns services into elements by key. Of two services with one destination the first
// one gets it; the other one fails.
func desired(all []model.VirtualService) (map[string]Element, []error) {
	elements := map[string]Element{}
	var errs []error
	for _, service := range all {
		own, err := elementsOf(service)
		if err == nil {
			err = merge(elements, own)
		}
		if err != nil {
			errs = append(errs, &model.ItemError{Key: service.Key, Reason: ReasonKernelRefused, Err: err})
		}
	}
	return elements, errs
}

func elementsOf(s model.VirtualService) ([]Element, error) {
	protocol, known := protocols[s.Protocol]
	switch {
	case s.Mark == 0:
		return nil, errNoMark
	case !known:
		return nil, fmt.Errorf("protocol %q: %w", s.Protocol, errProtocol)
	case len(s.Addresses) == 0 || len(s.Ports) == 0:
		return nil, errEmpty
	}
	elements := make([]Element, 0, len(s.Addresses)*len(s.Ports))
	for _, address := range s.Addresses {
		if !address.Is4() {
			return nil, fmt.Errorf("address %s: %w", address, errFamily)
		}
		for _, port := range s.Ports {
			elements = append(elements, Element{Match{address, protocol, port}, s.Mark})
		}
	}
	return elements, nil
}

// merge adds all of own or none.
func merge(elements map[string]Element, own []Element) error {
	for _, e := range own {
		if other, taken := elements[string(e.bytes())]; taken && other.Mark != e.Mark {
			return fmt.Errorf("%s port %d: %w", e.Address, e.Port, errOverlaps)
		}
	}
	for _, e := range own {
		elements[string(e.bytes())] = e
	}
	return nil
}
