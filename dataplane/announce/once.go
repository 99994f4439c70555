package announce

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
)

// Once returns the network as it is now, for many questions at a time: interfaces are read once and
// not for each question. Networks other than Sockets, and one that cannot be read, come back as they
// are.
func Once(network Network) Network {
	if _, real := network.(Sockets); !real {
		return network
	}
	all, err := net.Interfaces()
	if err != nil {
		return network
	}
	return &snapshot{all: all, known: map[string]Interface{}}
}

// snapshot are the interfaces of a moment.
type snapshot struct {
	all   []net.Interface
	mu    sync.Mutex
	known map[string]Interface
}

var _ Network = (*snapshot)(nil)

func (s *snapshot) find(name string) (*net.Interface, error) {
	for i := range s.all {
		if s.all[i].Name == name {
			return &s.all[i], nil
		}
	}
	return nil, fmt.Errorf("interface %q: %w", name, ErrNoInterface)
}

// Interface implements Network.
func (s *snapshot) Interface(name string) (Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, known := s.known[name]; known {
		return at, nil
	}
	i, err := s.find(name)
	if err != nil {
		return Interface{}, err
	}
	at, err := describe(i)
	if err == nil {
		s.known[name] = at
	}
	return at, err
}

// OwnMACs implements Network.
func (s *snapshot) OwnMACs() ([]MAC, error) { return macsOf(s.all), nil }

// Open implements Network.
func (s *snapshot) Open(name string, kind Kind, listen *Listen) (Port, error) {
	i, err := s.find(name)
	if err != nil {
		return nil, err
	}
	return open(i, kind, listen)
}

func macsOf(all []net.Interface) []MAC {
	var macs []MAC
	for _, i := range all {
		if len(i.HardwareAddr) == len(MAC{}) {
			macs = append(macs, MAC(i.HardwareAddr))
		}
	}
	return macs
}

// describe reads what net does not have of an interface at once.
func describe(i *net.Interface) (Interface, error) {
	if len(i.HardwareAddr) != len(MAC{}) || i.Flags&net.FlagLoopback != 0 {
		return Interface{}, fmt.Errorf("interface %q: %w", i.Name, ErrNoInterface)
	}
	addresses, err := i.Addrs()
	if err != nil {
		return Interface{}, fmt.Errorf("addresses of interface %q: %w", i.Name, err)
	}
	at := Interface{Index: i.Index, MAC: MAC(i.HardwareAddr), Up: i.Flags&net.FlagUp != 0, Router: forwards(i.Name)}
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil {
			at.Addresses = append(at.Addresses, prefix)
		}
	}
	return at, nil
}

// forwards reads the sysctl of which the kernel makes the router flag of its own advertisements.
func forwards(name string) bool {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + name + "/forwarding")
	return err == nil && len(b) > 0 && b[0] != '0'
}
