package nft

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/plan"
)

// DefaultTable is the table's name if Config says nothing.
const DefaultTable = "truepacs"

// Kernel is the part of nftables that the driver needs. Errors are or wrap the kernel's
// syscall.Errno.
type Kernel interface {
	// Read returns the table of that name and family inet; nil if there is none.
	Read(ctx context.Context, name string) (*Table, error)
	// Apply carries out a transaction as a whole or not at all.
	Apply(ctx context.Context, name string, t Transaction) error
}

// Table is what is there.
type Table struct {
	// Intact tells whether everything but the elements is as Apply with Rebuild makes it.
	Intact bool
	// Elements are the elements of the map.
	Elements []Element
}

// Transaction is one change of the table.
type Transaction struct {
	// Delete removes the table with all it holds; it must be there. Nothing else is done.
	Delete bool
	// Rebuild removes the table, if it is there, and makes a fresh one.
	Rebuild bool
	// Remove are elements to remove, Add elements to add afterwards.
	Remove []Match
	Add    []Element
}

// Config is what a Driver needs.
type Config struct {
	// Kernel is Netfilter or, in tests, a Fake.
	Kernel Kernel
	// Table is the table's name; empty: DefaultTable. The whole table of that name and family
	// inet is ours.
	Table string
}

// Driver keeps the table. Create it with New.
type Driver struct {
	mu     sync.Mutex
	kernel Kernel
	table  string
}

// New returns a driver.
func New(config Config) *Driver {
	if config.Table == "" {
		config.Table = DefaultTable
	}
	return &Driver{kernel: config.Kernel, table: config.Table}
}

// Set makes the packets of all these services, and of no others, carry their marks. The
// difference is one transaction: at no time is a packet of a service that stays unmarked. A
// table whose chain, rule or map somebody altered is made anew in the same way. Without services
// there is no table. What is not to be changed is not written; what was written is read back.
//
// A service that contradicts an earlier one in the list fails alone. If the kernel refuses the
// transaction, nothing has changed and each service gets an item error.
func (d *Driver) Set(ctx context.Context, all []model.VirtualService) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	want, errs := desired(all)
	if err := d.converge(ctx, want); err != nil {
		errs = append(errs, failures(all, err)...)
	}
	return errors.Join(errs...)
}

// Delete removes the table.
func (d *Driver) Delete(ctx context.Context) error { return d.Set(ctx, nil) }

// converge tries twice: the table may change between reading and writing.
func (d *Driver) converge(ctx context.Context, want map[string]Element) error {
	for attempt := 1; ; attempt++ {
		have, err := d.kernel.Read(ctx, d.table)
		if err != nil {
			return fmt.Errorf("read table inet %s: %w", d.table, err)
		}
		transaction, needed := decide(want, have)
		if !needed {
			return nil
		}
		err = d.kernel.Apply(ctx, d.table, transaction)
		if err == nil {
			return d.verify(ctx, want)
		}
		raced := errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ENOENT)
		if !raced || attempt == 2 {
			return fmt.Errorf("write table inet %s: %w", d.table, err)
		}
	}
}

func (d *Driver) verify(ctx context.Context, want map[string]Element) error {
	have, err := d.kernel.Read(ctx, d.table)
	if err != nil {
		return fmt.Errorf("read table inet %s back: %w", d.table, err)
	}
	if _, needed := decide(want, have); needed {
		return fmt.Errorf("table inet %s: %w", d.table, errNotApplied)
	}
	return nil
}

// decide compares what is wanted with what is there, nil for no table.
func decide(want map[string]Element, have *Table) (t Transaction, needed bool) {
	switch {
	case len(want) == 0:
		return Transaction{Delete: true}, have != nil
	case have == nil || !have.Intact:
		t.Rebuild = true
		have = &Table{}
	}
	there := make(map[string]Element, len(have.Elements))
	for _, e := range have.Elements {
		there[string(e.bytes())] = e
	}
	changes := plan.Diff(want, there, func(a, b Element) bool { return a == b })
	for _, item := range changes.Remove {
		t.Remove = append(t.Remove, item.Value.Match)
	}
	for _, item := range changes.Update {
		t.Remove = append(t.Remove, item.Value.Match)
		t.Add = append(t.Add, item.Value)
	}
	for _, item := range changes.Add {
		t.Add = append(t.Add, item.Value)
	}
	return t, t.Rebuild || !changes.Empty()
}

// failures reports what hit the whole table for each service, or as it is without services.
func failures(all []model.VirtualService, err error) []error {
	reason, err := explain(err)
	if len(all) == 0 {
		return []error{fmt.Errorf("nft: %w", err)}
	}
	errs := make([]error, 0, len(all))
	for _, service := range all {
		errs = append(errs, &model.ItemError{Key: service.Key, Reason: reason, Err: err})
	}
	return errs
}
