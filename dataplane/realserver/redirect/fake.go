package redirect

import (
	"context"
	"slices"
	"sync"
)

// Fake is an nftables in memory, for tests of this and other packages.
type Fake struct {
	// Refuse, if set, is what Replace answers.
	Refuse error

	mu     sync.Mutex
	tables map[bool][]Rule
	spoilt map[bool]bool
	writes int
}

var _ Kernel = (*Fake)(nil)

// Read implements Kernel.
func (f *Fake) Read(ctx context.Context, ipv6 bool) ([]Rule, bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.tables[ipv6]), !f.spoilt[ipv6], ctx.Err()
}

// Replace implements Kernel.
func (f *Fake) Replace(ctx context.Context, ipv6 bool, rules []Rule) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if f.Refuse != nil {
		return f.Refuse
	}
	if f.tables == nil {
		f.tables, f.spoilt = map[bool][]Rule{}, map[bool]bool{}
	}
	f.tables[ipv6], f.spoilt[ipv6] = slices.Clone(rules), false
	return ctx.Err()
}

// Spoil makes the table of a family one that somebody has changed.
func (f *Fake) Spoil(ipv6 bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.spoilt == nil {
		f.tables, f.spoilt = map[bool][]Rule{}, map[bool]bool{}
	}
	f.spoilt[ipv6] = true
}

// Writes returns how often Replace was called.
func (f *Fake) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}
