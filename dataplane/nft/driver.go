package nft

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
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
	// Read returns the table of that name and family inet, compared with a shape; nil if there
	// is none.
	Read(ctx context.Context, name string, shape Shape) (*Table, error)
	// Generation returns the number of the present state of the host's rules, tables of others included.
	// It is another after each transaction, and the same while packets alone fill and empty sets.
	Generation(ctx context.Context) (uint32, error)
	// Counters returns what the rules of the table have counted since it was made; zeroes if
	// there is none.
	Counters(ctx context.Context, name string) (Counters, error)
	// Seen returns what packets have shown in the last seconds; nothing if there is no table.
	Seen(ctx context.Context, name string) (Seen, error)
	// Ports returns what the destinations of the table have counted; nothing if there is none.
	Ports(ctx context.Context, name string) ([]PortCounter, error)
	// Apply carries out a transaction as a whole or not at all.
	Apply(ctx context.Context, name string, t Transaction) error
}

// Table is what is there.
type Table struct {
	// Intact tells whether everything but the elements is as Apply with Rebuild makes it for
	// the shape.
	Intact bool
	// Generation is that of the rules when the table was read.
	Generation uint32
	// Elements are those of all sets and maps but the ones that packets fill.
	Elements []Element
}

// Transaction is one change of the table.
type Transaction struct {
	// Delete removes the table with all it holds; it must be there. Nothing else is done.
	Delete bool
	// Rebuild, if set, removes the table, if it is there, and makes a fresh one of this shape.
	Rebuild *Shape
	// Remove are elements to remove, Add elements to add afterwards. Their order is free.
	Remove []Element
	Add    []Element
}

// Counters are numbers of packets; each begins anew when the table is rebuilt.
type Counters struct {
	// Guarded were dropped because no service declares their port.
	Guarded uint64
	// Reset were answered with a reset.
	Reset uint64
	// Masqueraded are first packets of connections that got a source address of this host.
	Masqueraded uint64
}

// Seen is what packets of the last four seconds have shown of the host's surroundings.
type Seen struct {
	// Through are replies of services of direct routing and tunnels that came to this host.
	Through []Reply
	// Unmarked are destinations at addresses of services to which packets went that had no mark
	// of a service just before IPVS saw them; those of services should have had one.
	Unmarked []Destination
}

// Reply is a packet of a real server on its way to a client.
type Reply struct {
	// VIP is the virtual address that it comes from, MAC the Ethernet address of its sender and
	// Client whom it is for, which may be this host itself.
	VIP    netip.Addr
	MAC    net.HardwareAddr
	Client netip.Addr
}

// Destination is where a packet goes.
type Destination struct {
	Address netip.AddrPort
	// Protocol is empty if it is neither TCP nor UDP.
	Protocol model.Protocol
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
	// found is the table as it was found to be as wanted; nil: unknown.
	found *found
	// lax says that the kernel cannot look up sockets.
	lax bool
}

// found is a table that was as wanted.
type found struct {
	generation uint32
	// digest is that of what was desired, refused are its items that could not be.
	digest  [sha256.Size]byte
	refused []error
	// lapses says that elements vanish by themselves, and the generation tells nothing.
	lapses bool
	// closable is what Set has to know of it should the table be made anew.
	closable []Element
}

// New returns a driver.
func New(config Config) *Driver {
	if config.Table == "" {
		config.Table = DefaultTable
	}
	return &Driver{kernel: config.Kernel, table: config.Table}
}

// Set makes the table do all that is desired and nothing else. The difference is one
// transaction: at no time is a packet of a service that stays unmarked. A table whose chains,
// rules or sets somebody altered, or that needs another shape, is made anew in the same way.
// Without anything desired there is no table. What is not to be changed is not written; what was
// written is read back. While the kernel's rules are those that were last found to be as
// desired, nothing is read.
//
// What is left of TCP connections to a port that is not declared any more is answered for an hour.
//
// A service that contradicts an earlier one in the list fails alone, with an item error; other
// items that cannot be are left out and named in the error. If the kernel refuses the transaction,
// nothing has changed and each service gets an item error.
func (d *Driver) Set(ctx context.Context, desired Desired) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	digest, err := desired.digest()
	if err != nil {
		return fmt.Errorf("nft: %w", err)
	}
	if d.unchanged(ctx, digest) {
		return errors.Join(d.found.refused...)
	}
	want, refused := desired.table()
	if err := d.converge(ctx, want); err != nil {
		return errors.Join(append(refused, failures(desired.Services, err)...)...)
	}
	if d.found != nil {
		d.found.digest, d.found.refused = digest, refused
	}
	return errors.Join(refused...)
}

// Delete removes the table.
func (d *Driver) Delete(ctx context.Context) error { return d.Set(ctx, Desired{}) }

// Counters returns what the table has counted.
func (d *Driver) Counters(ctx context.Context) (Counters, error) {
	counters, err := d.kernel.Counters(ctx, d.table)
	if err != nil {
		_, err = explain(err)
		return Counters{}, fmt.Errorf("read counters of table inet %s: %w", d.table, err)
	}
	return counters, nil
}

// Seen returns what packets of the last four seconds have shown.
func (d *Driver) Seen(ctx context.Context) (Seen, error) {
	seen, err := d.kernel.Seen(ctx, d.table)
	if err != nil {
		_, err = explain(err)
		return Seen{}, fmt.Errorf("read what packets showed in table inet %s: %w", d.table, err)
	}
	return seen, nil
}

// Ports returns what came to each port of the services, by address, protocol and port.
func (d *Driver) Ports(ctx context.Context) ([]PortCounter, error) {
	all, err := d.kernel.Ports(ctx, d.table)
	if err != nil {
		_, err = explain(err)
		return nil, fmt.Errorf("read counters of ports in table inet %s: %w", d.table, err)
	}
	slices.SortFunc(all, func(a, b PortCounter) int {
		return cmp.Or(a.Address.Compare(b.Address), cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(a.First, b.First))
	})
	return all, nil
}

// converge tries twice: the table may change between reading and writing.
func (d *Driver) converge(ctx context.Context, want want) error {
	want.shape.Lax = want.shape.Guard && d.lax
	for attempt := 1; ; attempt++ {
		have, err := d.kernel.Read(ctx, d.table, want.shape)
		if err != nil {
			return fmt.Errorf("read table inet %s: %w", d.table, err)
		}
		transaction, needed := d.decide(want, have)
		if !needed {
			d.remember(want, have)
			return nil
		}
		err = d.kernel.Apply(ctx, d.table, transaction)
		if err == nil {
			return d.verify(ctx, want)
		}
		if transaction.Rebuild != nil && want.shape.Guard && !want.shape.Lax && missing(err) {
			return d.relax(ctx, want, err)
		}
		raced := errors.Is(err, syscall.EEXIST) || errors.Is(err, syscall.ENOENT)
		if !raced || attempt == 2 {
			return fmt.Errorf("write table inet %s: %w", d.table, err)
		}
	}
}

// unchanged tells whether the table is known to be as desired.
func (d *Driver) unchanged(ctx context.Context, digest [sha256.Size]byte) bool {
	if d.found == nil || d.found.lapses || d.found.digest != digest {
		return false
	}
	generation, err := d.kernel.Generation(ctx)
	return err == nil && generation == d.found.generation
}

// remember takes over a table that is as wanted.
func (d *Driver) remember(want want, have *Table) {
	d.found = nil
	if have != nil {
		d.found = &found{generation: have.Generation, lapses: want.lapses, closable: closable(have.Elements)}
	}
}

// relax makes the table for a kernel that lacks what the guard looks up sockets with, if that
// is what it lacks.
func (d *Driver) relax(ctx context.Context, want want, refusal error) error {
	d.lax = true
	err := d.converge(ctx, want)
	if err != nil {
		d.lax = false
		return fmt.Errorf("write table inet %s: %w", d.table, refusal)
	}
	return nil
}

func (d *Driver) verify(ctx context.Context, want want) error {
	have, err := d.kernel.Read(ctx, d.table, want.shape)
	if err != nil {
		return fmt.Errorf("read table inet %s back: %w", d.table, err)
	}
	if _, needed := d.decide(want, have); needed {
		return fmt.Errorf("table inet %s: %w", d.table, errNotApplied)
	}
	d.remember(want, have)
	return nil
}

// decide compares what is wanted with what is there, nil for no table.
func (d *Driver) decide(want want, have *Table) (t Transaction, needed bool) {
	var former []Element
	switch {
	case want.shape == Shape{}:
		return Transaction{Delete: true}, have != nil
	case have == nil || !have.Intact:
		t.Rebuild = &want.shape
		have = &Table{}
		if d.found != nil {
			former = d.found.closable
		}
	default:
		former = have.Elements
	}
	there := make(map[string]Element, len(have.Elements))
	for _, e := range have.Elements {
		there[e.id()] = e
	}
	changes := plan.Diff(want.withClosing(former), there, sameElement)
	for _, item := range changes.Remove {
		t.Remove = append(t.Remove, item.Value)
	}
	for _, item := range changes.Update {
		t.Remove = append(t.Remove, item.Value)
		t.Add = append(t.Add, item.Value)
	}
	for _, item := range changes.Add {
		t.Add = append(t.Add, item.Value)
	}
	return t, t.Rebuild != nil || !changes.Empty()
}

func sameElement(a, b Element) bool {
	return a.Value == b.Value && (a.Timeout == 0) == (b.Timeout == 0)
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
