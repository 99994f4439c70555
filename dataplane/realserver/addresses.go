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

// place is an address on a device.
type place struct {
	address netip.Addr
	device  string
}

// places are those that an address must have. The kernel drops what comes out of an IPv4 tunnel that
// has no address of its own wherever sources are checked, loosely too (no_addr of
// __fib_validate_source, net/ipv4/fib_frontend.c).
func (p *pass) places(v model.LoopbackVIP) []place {
	all := []place{{v.Address, p.loopback.Name}}
	if v.Forwarding == model.Tunnel && v.Address.Is4() {
		all = append(all, place{v.Address, TunnelIPv4})
	}
	return all
}

// desired returns the addresses that lo and tunnels must have, and whether each can be added. An
// address that several interfaces face needs all of them prepared.
func (p *pass) desired(all []model.LoopbackVIP, failed failures) map[place]bool {
	usable := map[place]bool{}
	for _, v := range all {
		if !holdable(v.Address) {
			continue
		}
		for _, key := range p.places(v) {
			before, seen := usable[key]
			usable[key] = (!seen || before) && failed.of(v) == nil
		}
	}
	return usable
}

func placeKey(a netip.Prefix, device string) string { return a.String() + "%" + device }

// changes compares the wanted addresses with those that are there. A foreign one counts as the wanted
// one; an own one of another length does not.
func (p *pass) changes(usable map[place]bool) plan.Changes[string, netif.Address] {
	want, have := map[string]netif.Address{}, map[string]netif.Address{}
	for at := range usable {
		want[placeKey(hostPrefix(at.address), at.device)] = p.marker.Mark(netif.Address{
			Interface: at.device, Index: p.links[at.device].Index, Prefix: hostPrefix(at.address), Scope: netif.ScopeHost,
		})
	}
	for _, a := range p.there {
		key := placeKey(hostPrefix(a.Prefix.Addr()), a.Interface)
		_, wanted := want[key]
		switch {
		case p.marker.Owns(a):
			have[placeKey(a.Prefix, a.Interface)] = a
		case wanted:
			have[key] = a
		}
	}
	return plan.Diff(want, have, func(want, have netif.Address) bool {
		return !p.marker.Owns(have) || have.Passive == want.Passive
	})
}

func (p *pass) addAddresses(all []model.LoopbackVIP, failed failures) []error {
	usable := p.desired(all, failed)
	changes := p.changes(usable)
	var errs []error
	for _, item := range changes.Add {
		if usable[place{item.Value.Prefix.Addr(), item.Value.Interface}] {
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
	for _, item := range p.changes(p.desired(all, failures{})).Remove {
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
	wanted := append(p.audible(all), tunnelled(all)...)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(p.record.Interfaces)) {
		if slices.Contains(wanted, name) {
			continue
		}
		if err := p.restoreInterface(name); err != nil {
			errs = append(errs, fmt.Errorf("realserver: restore settings of %s: %w%s", name, err, remedy(err)))
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
