package nft

import (
	"context"
	"slices"
	"sync"
	"syscall"
)

// Fake is nftables in memory, for tests of this and other packages. The zero value has no
// table; it may be used from several goroutines.
type Fake struct {
	// Refuse, if set, is asked before each transaction; its error is returned.
	Refuse func(name string, t Transaction) error

	mu     sync.Mutex
	tables map[string]*Table
	writes int
}

var _ Kernel = (*Fake)(nil)

// Writes returns how many transactions were asked for, refused ones too.
func (f *Fake) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// Damage makes a table look as if somebody had altered its chain.
func (f *Fake) Damage(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tables[name].Intact = false
}

// Marks returns the marks of a table by match; nil if there is no such table.
func (f *Fake) Marks(name string) map[Match]uint32 {
	f.mu.Lock()
	defer f.mu.Unlock()
	table, there := f.tables[name]
	if !there {
		return nil
	}
	marks := map[Match]uint32{}
	for _, e := range table.Elements {
		marks[e.Match] = e.Mark
	}
	return marks
}

// Read implements Kernel.
func (f *Fake) Read(_ context.Context, name string) (*Table, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	table, there := f.tables[name]
	switch {
	case !there:
		return nil, nil
	case !table.Intact:
		return &Table{}, nil
	}
	return &Table{Intact: true, Elements: slices.Clone(table.Elements)}, nil
}

// Apply implements Kernel.
func (f *Fake) Apply(_ context.Context, name string, t Transaction) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writes++
	if f.Refuse != nil {
		if err := f.Refuse(name, t); err != nil {
			return err
		}
	}
	if f.tables == nil {
		f.tables = map[string]*Table{}
	}
	table, there := f.tables[name]
	switch {
	case t.Rebuild:
		table = &Table{Intact: true}
	case !there:
		return syscall.ENOENT
	case t.Delete:
		delete(f.tables, name)
		return nil
	}
	next, err := changed(table, t)
	if err == nil {
		f.tables[name] = next
	}
	return err
}

func changed(table *Table, t Transaction) (*Table, error) {
	next := &Table{Intact: table.Intact, Elements: slices.Clone(table.Elements)}
	for _, m := range t.Remove {
		at := slices.IndexFunc(next.Elements, func(e Element) bool { return e.Match == m })
		if at < 0 {
			return nil, syscall.ENOENT
		}
		next.Elements = slices.Delete(next.Elements, at, at+1)
	}
	for _, e := range t.Add {
		if slices.ContainsFunc(next.Elements, func(o Element) bool { return o.Match == e.Match && o.Mark != e.Mark }) {
			return nil, syscall.EEXIST
		}
		next.Elements = append(next.Elements, e)
	}
	return next, nil
}
