package nft

import (
	"context"
	"maps"
	"slices"
	"sync"
	"syscall"
)

// Fake is nftables in memory, for tests of this and other packages. The zero value has no
// table; it may be used from several goroutines.
type Fake struct {
	// Refuse, if set, is asked before each transaction; its error is returned.
	Refuse func(name string, t Transaction) error
	// Counted is what Counters returns.
	Counted Counters
	// Noticed is what Seen returns.
	Noticed Seen
	// CountedPorts is what Ports returns.
	CountedPorts []PortCounter

	mu         sync.Mutex
	tables     map[string]fakeTable
	writes     int
	reads      int
	generation uint32
}

type fakeTable struct {
	shape    Shape
	damaged  bool
	elements map[string]Element
}

var _ Kernel = (*Fake)(nil)

// Writes returns how many transactions were asked for, refused ones too.
func (f *Fake) Writes() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.writes
}

// Reads returns how many times a table was read.
func (f *Fake) Reads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

// Generation implements Kernel.
func (f *Fake) Generation(context.Context) (uint32, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.generation, nil
}

// Damage makes a table look as if somebody had altered its chain.
func (f *Fake) Damage(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	table := f.tables[name]
	table.damaged = true
	f.generation++
	f.tables[name] = table
}

// Elements returns the elements of a table as text, sorted; nil if there is no such table.
func (f *Fake) Elements(name string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	table, there := f.tables[name]
	if !there {
		return nil
	}
	all := []string{}
	for _, e := range table.elements {
		all = append(all, e.String())
	}
	slices.Sort(all)
	return all
}

// Shape returns which parts a table has; none if there is no such table.
func (f *Fake) Shape(name string) Shape {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.tables[name].shape
}

// Read implements Kernel.
func (f *Fake) Read(_ context.Context, name string, shape Shape) (*Table, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	table, there := f.tables[name]
	switch {
	case !there:
		return nil, nil
	case table.damaged || table.shape != shape:
		return &Table{Generation: f.generation}, nil
	}
	return &Table{Intact: true, Generation: f.generation, Elements: slices.Collect(maps.Values(table.elements))}, nil
}

// Counters implements Kernel.
func (f *Fake) Counters(context.Context, string) (Counters, error) { return f.Counted, nil }

// Seen implements Kernel.
func (f *Fake) Seen(context.Context, string) (Seen, error) { return f.Noticed, nil }

// Ports implements Kernel.
func (f *Fake) Ports(context.Context, string) ([]PortCounter, error) {
	return slices.Clone(f.CountedPorts), nil
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
		f.tables = map[string]fakeTable{}
	}
	table, there := f.tables[name]
	switch {
	case t.Rebuild != nil:
		table = fakeTable{shape: *t.Rebuild}
	case !there:
		return syscall.ENOENT
	case t.Delete:
		delete(f.tables, name)
		f.generation++
		return nil
	}
	next, err := table.changed(t)
	if err == nil {
		f.tables[name] = next
		f.generation++
	}
	return err
}

func (f fakeTable) changed(t Transaction) (fakeTable, error) {
	next := fakeTable{shape: f.shape, damaged: f.damaged, elements: map[string]Element{}}
	maps.Copy(next.elements, f.elements)
	for _, e := range t.Remove {
		if _, there := next.elements[e.id()]; !there {
			return f, syscall.ENOENT
		}
		delete(next.elements, e.id())
	}
	for _, e := range t.Add {
		if _, there := next.elements[e.id()]; there {
			return f, syscall.EEXIST
		}
		if !slices.ContainsFunc(f.shape.sets(), func(s setSpec) bool { return s.name == e.Set }) {
			return f, syscall.ENOENT
		}
		next.elements[e.id()] = e
	}
	return next, nil
}
