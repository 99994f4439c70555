package netif

import (
	"slices"
	"sync"
	"syscall"
)

// Fake is a kernel in memory, for tests of this and other packages. It answers with the errors
// that Linux answers with. The zero value has no interface; it may be used from several
// goroutines.
type Fake struct {
	// Refuse, if set, is asked before each write ("add", "change" or "remove"); its error is returned.
	Refuse func(act string, a Address) error
	// NoProto makes it a kernel before 5.18, which forgets IFA_PROTO.
	NoProto bool

	mu        sync.Mutex
	links     []Link
	addresses []Address
	gateways  []Gateway
	writes    int
}

var _ Kernel = (*Fake)(nil)

// AddLink adds an interface; an Index of 0 becomes the next free one.
func (f *Fake) AddLink(l Link) Link {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l.Index == 0 {
		l.Index = len(f.links) + 1
	}
	f.links = append(f.links, l)
	return l
}

// ChangeLink replaces the interface of the same index.
func (f *Fake) ChangeLink(l Link) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.links {
		if f.links[i].Index == l.Index {
			f.links[i] = l
		}
	}
}

// AddGateway adds a default route.
func (f *Fake) AddGateway(g Gateway) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.gateways = append(f.gateways, g)
}

// Writes returns how many writes were asked for, refused ones too.
func (f *Fake) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// Links implements Kernel.
func (f *Fake) Links() ([]Link, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.links), nil
}

// Addresses implements Kernel.
func (f *Fake) Addresses() ([]Address, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.addresses), nil
}

// Gateways implements Kernel.
func (f *Fake) Gateways() ([]Gateway, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.gateways), nil
}

// AddAddress implements Kernel.
func (f *Fake) AddAddress(a Address) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.admit("add", a); err != nil {
		return err
	}
	at := slices.IndexFunc(f.links, func(l Link) bool { return l.Index == a.Index })
	if at < 0 {
		return syscall.ENODEV
	}
	if f.find(a) >= 0 || f.hasIPv6(a) {
		return syscall.EEXIST
	}
	a.Interface = f.links[at].Name
	if a.Label == "" && a.Prefix.Addr().Is4() {
		a.Label = a.Interface
	}
	f.addresses = append(f.addresses, f.kept(a))
	return nil
}

// kept returns what the kernel keeps of an address.
func (f *Fake) kept(a Address) Address {
	if f.NoProto {
		a.Proto = 0
	}
	if a.Prefix.Addr().Is4() {
		a.Metric, a.Passive = 0, false
	}
	return a
}

// ChangeAddress implements Kernel.
func (f *Fake) ChangeAddress(a Address) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.admit("change", a); err != nil {
		return err
	}
	at := f.find(a)
	if at < 0 {
		return syscall.EADDRNOTAVAIL
	}
	a = f.kept(a)
	f.addresses[at].Metric, f.addresses[at].Proto, f.addresses[at].Passive = a.Metric, a.Proto, a.Passive
	return nil
}

// RemoveAddress implements Kernel.
func (f *Fake) RemoveAddress(a Address) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.admit("remove", a); err != nil {
		return err
	}
	at := f.find(a)
	if at < 0 {
		return syscall.EADDRNOTAVAIL
	}
	f.addresses = slices.Delete(f.addresses, at, at+1)
	return nil
}

func (f *Fake) admit(act string, a Address) error {
	f.writes++
	if f.Refuse == nil {
		return nil
	}
	return f.Refuse(act, a)
}

// hasIPv6 tells whether an interface has an IPv6 address: there cannot be two of different prefix
// lengths.
func (f *Fake) hasIPv6(a Address) bool {
	return a.Prefix.Addr().Is6() && slices.ContainsFunc(f.addresses, func(b Address) bool {
		return a.Index == b.Index && a.Prefix.Addr() == b.Prefix.Addr()
	})
}

func (f *Fake) find(a Address) int {
	return slices.IndexFunc(f.addresses, func(b Address) bool {
		return a.Index == b.Index && a.Prefix == b.Prefix
	})
}
