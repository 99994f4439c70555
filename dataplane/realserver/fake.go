package realserver

import (
	"slices"
	"sync"
	"syscall"

	"github.com/truepacs/balancer/dataplane/netif"
)

// Fake is a kernel in memory with interfaces, addresses and ARP settings, for tests of this and
// other packages. The zero value has no interface; fresh interfaces have settings of 0.
type Fake struct {
	netif.Fake
	// RefuseSet, if set, is asked before each change of settings; its error is returned.
	RefuseSet func(index int, v Values) error
	// HostWide is what All returns.
	HostWide Values
	// NoTunnels makes it a kernel without tunnels.
	NoTunnels bool
	// BootID is what Boot returns.
	BootID string

	mu     sync.Mutex
	values map[int]Values
	sets   int
}

var (
	_ netif.Kernel = (*Fake)(nil)
	_ Sysctls      = (*Fake)(nil)
	_ Tunnels      = (*Fake)(nil)
)

// Sets returns how often settings were written, refused writes too.
func (f *Fake) Sets() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sets
}

// Get implements Sysctls.
func (f *Fake) Get(index int) (Values, error) {
	if !f.exists(index) {
		return Values{}, syscall.ENODEV
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.values[index], nil
}

// Set implements Sysctls.
func (f *Fake) Set(index int, v Values) error {
	if !f.exists(index) {
		return syscall.ENODEV
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sets++
	if f.RefuseSet != nil {
		if err := f.RefuseSet(index, v); err != nil {
			return err
		}
	}
	if f.values == nil {
		f.values = map[int]Values{}
	}
	f.values[index] = v
	return nil
}

// AddTunnel implements Tunnels.
func (f *Fake) AddTunnel(name string, _ bool) error {
	links, _ := f.Links()
	switch {
	case f.NoTunnels:
		return syscall.EOPNOTSUPP
	case slices.ContainsFunc(links, func(l netif.Link) bool { return l.Name == name }):
		return syscall.EEXIST
	}
	f.AddLink(netif.Link{Name: name, Kind: "tunnel", MTU: 1480})
	return nil
}

// SetUp implements Tunnels.
func (f *Fake) SetUp(index int, up bool) error {
	links, _ := f.Links()
	for _, l := range links {
		if l.Index == index {
			l.Up = up
			f.ChangeLink(l)
			return nil
		}
	}
	return syscall.ENODEV
}

// All implements Sysctls.
func (f *Fake) All() (Values, error) { return f.HostWide, nil }

// Boot implements Sysctls.
func (f *Fake) Boot() string { return f.BootID }

func (f *Fake) exists(index int) bool {
	links, _ := f.Links()
	for _, l := range links {
		if l.Index == index {
			return true
		}
	}
	return false
}
