package setup

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"

	"github.com/truepacs/balancer/dataplane/model"
)

// Method is how a server accepts packets to a virtual IP address.
type Method string

// Methods.
const (
	// Loopback puts the address on lo and silences the server's interfaces about it. It is the
	// one to use.
	Loopback Method = "Loopback"
	// Redirect sends the declared ports to the server's own address by nftables, for servers to
	// which no address may be added. Linux only.
	Redirect Method = "Redirect"
	// Tunnel unpacks IPIP (RFC 2003) and IPv6 in IPv6 (RFC 2473), for servers that are not on the
	// director's segment. Linux only.
	Tunnel Method = "Tunnel"
)

// VIP is a virtual IP address with the ports that a server serves.
type VIP struct {
	// Address is the address.
	Address netip.Addr
	// Ports are the ports by protocol; other ports of the address do not answer.
	Ports []Ports
}

// Ports are ports of a protocol.
type Ports struct {
	Protocol model.Protocol
	// First and Last are both included; Last 0: First alone.
	First, Last uint16
}

// Spec is what a server has to be prepared for.
type Spec struct {
	// VIPs are the virtual IP addresses.
	VIPs []VIP
	// Method is how; empty: Loopback.
	Method Method
	// Interfaces are the interfaces that must be silent about the addresses; empty: the script
	// finds the server's network cards itself. On Windows the first one's alias is used.
	Interfaces []string
	// MTU is that of the way from the director to the server, in bytes, for Tunnel; 0: 1500.
	MTU int
}

// method returns Method with its default.
func (s Spec) method() Method {
	if s.Method == "" {
		return Loopback
	}
	return s.Method
}

// segment is the largest TCP segment that a client may send through the tunnel, in bytes: the MTU
// without the IP header of the tunnel, and the IP and TCP headers of the packet inside.
func (s Spec) segment(ipv6 bool) int {
	mtu := s.MTU
	if mtu == 0 {
		mtu = 1500
	}
	if ipv6 {
		return mtu - 40 - 40 - 20
	}
	return mtu - 20 - 20 - 20
}

// addresses returns the VIPs' addresses of one family.
func (s Spec) addresses(ipv6 bool) []string {
	var found []string
	for _, v := range s.VIPs {
		if v.Address.Is6() == ipv6 {
			found = append(found, v.Address.String())
		}
	}
	return found
}

// interfaceName is what a Linux interface and a Windows adapter can be called without a character
// that means something in a shell.
var errName = errors.New("interface names may hold letters, digits, spaces and . _ - : @ #, 64 at most")

func validName(name string) bool {
	return regexp.MustCompile(`^[\p{L}\p{N}][\p{L}\p{N} ._:@#-]{0,63}$`).MatchString(name)
}

// check tells what about a Spec cannot be; everything that gets into a script has been checked
// here.
func (s Spec) check(system OS) error {
	if len(s.VIPs) == 0 {
		return errors.New("no virtual IP address is given: name at least one")
	}
	for _, v := range s.VIPs {
		if err := v.check(); err != nil {
			return err
		}
	}
	for _, name := range s.Interfaces {
		if !validName(name) || system == Linux && regexp.MustCompile(`[\s]`).MatchString(name) {
			return fmt.Errorf("interface %q: %w", name, errName)
		}
	}
	for i, v := range s.VIPs {
		if slices.ContainsFunc(s.VIPs[:i], func(other VIP) bool { return other.Address == v.Address }) {
			return fmt.Errorf("%s is given twice: name all its ports at once", v.Address)
		}
	}
	return s.checkMethod(system)
}

func (s Spec) checkMethod(system OS) error {
	switch {
	case !slices.Contains([]Method{Loopback, Redirect, Tunnel}, s.method()):
		return fmt.Errorf("method %q is unknown: write Loopback, Redirect or Tunnel", s.Method)
	case system == Windows && s.method() != Loopback:
		return fmt.Errorf("method %s does not exist on Windows: write Loopback", s.Method)
	case s.MTU != 0 && (s.MTU < 576 || s.MTU > 65535):
		return fmt.Errorf("MTU %d cannot be: write 576 to 65535 bytes", s.MTU)
	}
	return nil
}

func (v VIP) check() error {
	a := v.Address
	if !a.IsValid() || a.Is4In6() || a.Zone() != "" || a.IsLoopback() || a.IsMulticast() || a.IsUnspecified() || a.IsLinkLocalUnicast() {
		return fmt.Errorf("%s is no virtual IP address: write an IPv4 or IPv6 address of the clients' network", a)
	}
	if len(v.Ports) == 0 {
		return fmt.Errorf("no port is given for %s: name those that clients use, for example 104 and 11112", a)
	}
	for _, p := range v.Ports {
		if p.Protocol != model.TCP && p.Protocol != model.UDP || p.First == 0 || p.Last != 0 && p.Last < p.First {
			return fmt.Errorf("ports %d-%d/%s of %s cannot be: write TCP or UDP and ports from 1 to 65535", p.First, p.Last, p.Protocol, a)
		}
	}
	return nil
}

// text writes ports as nft and Windows do: 104 or 2000-2010.
func (p Ports) text() string {
	if p.Last == 0 || p.Last == p.First {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// of returns the texts of the ports of one protocol, ascending, each port in one of them only.
func (v VIP) of(protocol model.Protocol) []string {
	var texts []string
	for _, p := range v.merged(protocol) {
		texts = append(texts, p.text())
	}
	return texts
}

// merged are the ports of one protocol as ascending ranges with gaps between them.
func (v VIP) merged(protocol model.Protocol) []Ports {
	var sorted, joined []Ports
	for _, p := range v.Ports {
		if p.Protocol == protocol {
			sorted = append(sorted, Ports{protocol, p.First, max(p.First, p.Last)})
		}
	}
	slices.SortFunc(sorted, func(a, b Ports) int { return int(a.First) - int(b.First) })
	for _, p := range sorted {
		if n := len(joined) - 1; n >= 0 && p.First <= joined[n].Last {
			joined[n].Last = max(joined[n].Last, p.Last)
			continue
		}
		joined = append(joined, p)
	}
	return joined
}
