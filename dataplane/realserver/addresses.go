package realserver

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"syscall"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/plan"
)

// desired returns the addresses that lo must have, by address. An address that several
// interfaces face needs all of them prepared.
func desired(all []model.LoopbackVIP, failed failures) map[string]bool {
	usable := map[string]bool{}
	for _, v := range all {
		if !holdable(v.Address) {
			continue
		}
		key := v.Address.String()
		before, seen := usable[key]
		usable[key] = (!seen || before) && failed.of(v) == nil
	}
	return usable
}

// changes compares the wanted addresses with those on lo. A foreign one counts as the wanted
// one; an own one of another length does not.
func (p *pass) changes(usable map[string]bool) plan.Changes[string, netif.Address] {
	want, have := map[string]netif.Address{}, map[string]netif.Address{}
	for key := range usable {
		a := netip.MustParseAddr(key)
		want[hostPrefix(a).String()] = p.marker.Mark(netif.Address{
			Interface: p.loopback.Name, Index: p.loopback.Index, Prefix: hostPrefix(a), Scope: netif.ScopeHost,
		})
	}
	for _, a := range p.there {
		key := hostPrefix(a.Prefix.Addr()).String()
		_, wanted := want[key]
		switch {
		case p.marker.Owns(a):
			have[a.Prefix.String()] = a
		case wanted:
			have[key] = a
		}
	}
	return plan.Diff(want, have, func(want, have netif.Address) bool {
		return !p.marker.Owns(have) || have.Passive == want.Passive
	})
}

func (p *pass) addAddresses(all []model.LoopbackVIP, failed failures) []error {
	usable := desired(all, failed)
	changes := p.changes(usable)
	var errs []error
	for _, item := range changes.Add {
		if usable[item.Value.Prefix.Addr().String()] {
			errs = append(errs, p.addAddress(item.Value, p.config.Kernel.AddAddress))
		}
	}
	for _, item := range changes.Update {
		errs = append(errs, p.addAddress(item.Value, p.config.Kernel.ChangeAddress))
	}
	return slices.DeleteFunc(errs, func(err error) bool { return err == nil })
}

func (p *pass) addAddress(a netif.Address, write func(netif.Address) error) error {
	err := p.ctx.Err()
	if err == nil {
		err = write(a)
	}
	if err == nil || errors.Is(err, syscall.EEXIST) {
		return nil
	}
	return itemError(a.Prefix.Addr(), fmt.Errorf("add %s to %s: %w", a.Prefix, a.Interface, netif.ExplainAdd(a, err)))
}

// holdable tells whether a is an address of one of both families as they are written canonically.
func holdable(a netip.Addr) bool { return a.IsValid() && !a.Is4In6() && a.Zone() == "" }

func (p *pass) removeAddresses(all []model.LoopbackVIP) []error {
	var errs []error
	for _, item := range p.changes(desired(all, failures{})).Remove {
		a := item.Value
		err := p.ctx.Err()
		if err == nil {
			err = p.config.Kernel.RemoveAddress(a)
		}
		if err != nil && !errors.Is(err, syscall.EADDRNOTAVAIL) {
			errs = append(errs, itemError(a.Prefix.Addr(), fmt.Errorf("remove %s from %s: %w", a.Prefix, a.Interface, err)))
		}
	}
	return errs
}

// restore gives interfaces that need not be silent any more their settings back.
func (p *pass) restore(all []model.LoopbackVIP) []error {
	wanted := p.audible(all)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(p.record.Interfaces)) {
		if slices.Contains(wanted, name) {
			continue
		}
		if err := p.restoreInterface(name); err != nil {
			errs = append(errs, fmt.Errorf("realserver: restore ARP settings of %s: %w%s", name, err, remedy(err)))
		}
	}
	return errs
}

func (p *pass) restoreInterface(name string) error {
	link, there := p.links[name]
	if there {
		now, err := p.config.Sysctls.Get(link.Index)
		if err != nil {
			return err
		}
		if want := p.record.Interfaces[name].restored(now); want != now {
			if err := p.write(link, want); err != nil {
				return err
			}
		}
	}
	delete(p.record.Interfaces, name)
	return p.record.save(p.config.RecordPath)
}
