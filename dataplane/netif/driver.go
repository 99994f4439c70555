package netif

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/plan"
)

// Driver holds the virtual IP addresses of a director. Create it with New.
type Driver struct {
	mu     sync.Mutex
	kernel Kernel
	marker Marker
	gate   Gate
}

// Gate decides about addresses that the host is about to take.
type Gate interface {
	// Ask takes all addresses that the host wants and holds on none of its interfaces, also if there
	// are none, and returns at once: an item error for each that must not be taken now.
	Ask(all []model.VirtualIP) error
}

// New returns a driver on a kernel: Rtnetlink or, in tests, a Fake.
func New(kernel Kernel) *Driver {
	return &Driver{kernel: kernel, marker: DirectorMarker(), gate: open{}}
}

// NewGated returns a driver that takes no address which gate refuses.
func NewGated(kernel Kernel, gate Gate) *Driver {
	d := New(kernel)
	d.gate = gate
	return d
}

// open refuses nothing.
type open struct{}

func (open) Ask([]model.VirtualIP) error { return nil }

// Set makes all the virtual IP addresses of this host: each is there with a host prefix (/32 or
// /128) when Set returns, and every other address that carries our mark is gone. Addresses are added
// before others are removed. An address that is there without our mark, with whatever prefix
// length, is used as it is and never removed. What is not to be changed is not written. IPv6
// addresses are Passive; one of ours that somebody made preferred is deprecated again.
//
// An address that the Gate refuses is not added; that is its item error. One that the host has, after a
// restart for example, or that goes to another interface, needs no consent.
//
// An address whose interface is missing or down fails with the reason InterfaceNotFound; one
// that is already there stays. Item errors carry the Key of the virtual IP, for leftovers the
// address. Loopback interfaces belong to dataplane/realserver and are refused.
func (d *Driver) Set(ctx context.Context, all []model.VirtualIP) error {
	_, err := d.Hold(ctx, all)
	return err
}

// Hold is Set and returns the addresses that were not there and are now: neighbours may have
// learned meanwhile that somebody else has them, or nobody.
func (d *Driver) Hold(ctx context.Context, all []model.VirtualIP) (added []netip.Addr, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	seen, err := d.observe(ctx)
	if err != nil {
		return nil, err
	}
	wanted, errs := desired(all, seen, d.marker)
	changes := decide(wanted, seen, d.marker)
	refused := d.ask(changes, seen)
	for _, item := range changes.Add {
		if err := refused(item.Value.key); err != nil {
			errs = append(errs, err)
			continue
		}
		if !item.Value.usable {
			continue
		}
		err := d.add(ctx, item.Value)
		if err == nil {
			added = append(added, item.Value.address.Prefix.Addr())
		}
		errs = append(errs, err)
	}
	for _, item := range changes.Update {
		errs = append(errs, d.change(ctx, item.Value))
	}
	for _, item := range changes.Remove {
		errs = append(errs, d.remove(ctx, item.Value))
	}
	return added, errors.Join(errs...)
}

// ask asks the gate for what is to be added. The result has the errors by key; one that is about no
// item concerns all that were asked for.
func (d *Driver) ask(changes plan.Changes[string, entry], seen observed) func(key string) error {
	var wanted []model.VirtualIP
	for _, item := range changes.Add {
		e := item.Value
		if e.usable && !d.holds(e.address.Prefix.Addr(), seen) {
			wanted = append(wanted, model.VirtualIP{Key: e.key, Address: e.address.Prefix.Addr(), Interface: e.address.Interface})
		}
	}
	items, rest := model.ItemErrors(d.gate.Ask(wanted))
	for _, vip := range wanted {
		if rest != nil && items[vip.Key] == nil {
			items[vip.Key] = itemError(vip.Key, "take "+vip.Address.String(), rest)
		}
	}
	return func(key string) error {
		if err := items[key]; err != nil {
			return err
		}
		return nil
	}
}

// holds tells whether this host has an address of ours on an interface that others reach.
func (d *Driver) holds(a netip.Addr, seen observed) bool {
	return slices.ContainsFunc(seen.addresses, func(have Address) bool {
		return have.Prefix.Addr() == a && d.marker.Owns(have) && !seen.links[have.Interface].Loopback
	})
}

// observed is what the kernel has.
type observed struct {
	links     map[string]Link
	addresses []Address
}

func (d *Driver) observe(ctx context.Context) (observed, error) {
	if err := ctx.Err(); err != nil {
		return observed{}, fmt.Errorf("netif: %w", err)
	}
	links, err := d.kernel.Links()
	if err != nil {
		return observed{}, Explain("netif", err)
	}
	addresses, err := d.kernel.Addresses()
	if err != nil {
		return observed{}, Explain("netif", err)
	}
	seen := observed{links: make(map[string]Link, len(links)), addresses: addresses}
	for _, l := range links {
		seen.links[l.Name] = l
	}
	return seen, nil
}

// entry is an address that is wanted or there; key is the virtual IP's.
type entry struct {
	key     string
	address Address
	usable  bool // false: do not add, and do not remove what is there
}

func entryKey(a Address) string { return a.Prefix.String() + "%" + a.Interface }

// ownKey is the key of an address of ours: an interface has an IPv6 address once, whatever the
// prefix length.
func ownKey(a Address) string {
	if a.Prefix.Addr().Is6() {
		a.Prefix = netip.PrefixFrom(a.Prefix.Addr(), a.Prefix.Addr().BitLen())
	}
	return entryKey(a)
}

// desired turns virtual IPs into addresses. One that cannot be added is in the result too, so
// that it is not removed where it is already there.
func desired(all []model.VirtualIP, seen observed, marker Marker) (map[string]entry, []error) {
	wanted := make(map[string]entry, len(all))
	var errs []error
	for _, vip := range all {
		err := check(vip, seen.links)
		if err != nil {
			errs = append(errs, err)
		}
		if !vip.Address.IsValid() {
			continue
		}
		a := marker.Mark(Address{
			Interface: vip.Interface,
			Index:     seen.links[vip.Interface].Index,
			Prefix:    netip.PrefixFrom(vip.Address, vip.Address.BitLen()),
			Scope:     ScopeGlobal,
		})
		if _, twice := wanted[entryKey(a)]; !twice {
			wanted[entryKey(a)] = entry{key: vip.Key, address: a, usable: err == nil}
		}
	}
	return wanted, errs
}

// check tells why a virtual IP cannot be held, nil if it can.
func check(vip model.VirtualIP, links map[string]Link) error {
	link, there := links[vip.Interface]
	fail := func(reason, format string, args ...any) error {
		return &model.ItemError{Key: vip.Key, Reason: reason, Err: fmt.Errorf(format, args...)}
	}
	switch {
	case !holdable(vip.Address):
		return fail(ReasonKernelRefused, "%s is no address that an interface can hold: write an IPv4 or IPv6 address without zone", vip.Address)
	case !there:
		return fail(ReasonInterfaceNotFound, "interface %s does not exist on this host: check virtualIPs[].interfaces", vip.Interface)
	case link.Loopback:
		return fail(ReasonInterfaceNotFound, "interface %s is the loopback: name the interface that faces the clients", vip.Interface)
	case !link.Up:
		return fail(ReasonInterfaceNotFound, "interface %s is down: switch it on with `ip link set %s up`", vip.Interface, vip.Interface)
	}
	return nil
}

// holdable tells whether a is an address of one of both families as they are written canonically.
func holdable(a netip.Addr) bool { return a.IsValid() && !a.Is4In6() && a.Zone() == "" }

// decide compares. A foreign entry with a wanted address counts as the wanted one.
func decide(wanted map[string]entry, seen observed, marker Marker) plan.Changes[string, entry] {
	have := make(map[string]entry, len(seen.addresses))
	for _, a := range seen.addresses {
		if marker.Owns(a) {
			have[ownKey(a)] = entry{key: a.Prefix.Addr().String(), address: a}
		}
	}
	for _, a := range seen.addresses {
		host := a
		host.Prefix = netip.PrefixFrom(a.Prefix.Addr(), a.Prefix.Addr().BitLen())
		if w, ok := wanted[entryKey(host)]; ok && !marker.Owns(a) {
			have[entryKey(host)] = w
		}
	}
	same := func(want, have entry) bool {
		return !want.usable || !marker.Owns(have.address) || want.address.Passive == have.address.Passive
	}
	return plan.Diff(wanted, have, same)
}

func (d *Driver) add(ctx context.Context, e entry) error {
	act := fmt.Sprintf("add %s to %s", e.address.Prefix, e.address.Interface)
	if err := ctx.Err(); err != nil {
		return itemError(e.key, act, err)
	}
	err := d.kernel.AddAddress(e.address)
	if err == nil || errors.Is(err, syscall.EEXIST) {
		return nil
	}
	return itemError(e.key, act, ExplainAdd(e.address, err))
}

func (d *Driver) change(ctx context.Context, e entry) error {
	act := fmt.Sprintf("keep the host from using %s on %s as source", e.address.Prefix.Addr(), e.address.Interface)
	err := ctx.Err()
	if err == nil {
		err = d.kernel.ChangeAddress(e.address)
	}
	if err == nil {
		return nil
	}
	return itemError(e.key, act, err)
}

func (d *Driver) remove(ctx context.Context, e entry) error {
	act := fmt.Sprintf("remove %s from %s", e.address.Prefix, e.address.Interface)
	if err := ctx.Err(); err != nil {
		return itemError(e.key, act, err)
	}
	err := d.kernel.RemoveAddress(e.address)
	if err == nil || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	return itemError(e.key, act, err)
}
