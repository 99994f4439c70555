package keeper

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"syscall"

	"github.com/truepacs/balancer/dataplane/model"
)

// store holds the sockets of one process by address. Its owner serialises access.
type store map[netip.AddrPort]*Socket

// add takes sockets over; a second socket on one address is closed.
func (st store) add(sockets []*Socket) {
	for _, s := range sockets {
		if _, there := st[s.addr]; there {
			s.Close()
			continue
		}
		st[s.addr] = s
	}
}

// open opens the sockets that listeners want and st lacks.
func (st store) open(listeners []model.Listener) error {
	var errs []error
	for _, l := range listeners {
		if _, there := st[l.Address]; there {
			continue
		}
		s, err := Listen(l.Address)
		if err != nil {
			errs = append(errs, bindError(l, err))
			continue
		}
		st[l.Address] = s
	}
	return errors.Join(errs...)
}

// ReasonPortInUse is the reason of a listener whose port another process holds.
const ReasonPortInUse = "PortInUse"

func bindError(l model.Listener, err error) error {
	item := &model.ItemError{Key: l.Service, Reason: "KernelRefused", Err: err}
	if errors.Is(err, syscall.EADDRINUSE) {
		item.Reason = ReasonPortInUse
		item.Err = fmt.Errorf("%w: another process on this host listens there; find it with "+
			"`ss -ltnp sport = :%d` and stop it or give it an address of its own", err, l.Address.Port())
	}
	return item
}

// closeOthers closes the sockets that no listener wants.
func (st store) closeOthers(listeners []model.Listener) {
	wanted := map[netip.AddrPort]bool{}
	for _, l := range listeners {
		wanted[l.Address] = true
	}
	for addr, s := range st {
		if !wanted[addr] {
			s.Close()
			delete(st, addr)
		}
	}
}

// missing returns the sockets whose address is not in has, in order of addresses.
func (st store) missing(has map[netip.AddrPort]bool) []*Socket {
	var list []*Socket
	for _, addr := range slices.SortedFunc(maps.Keys(st), netip.AddrPort.Compare) {
		if !has[addr] {
			list = append(list, st[addr])
		}
	}
	return list
}

func (st store) closeAll() {
	for addr, s := range st {
		s.Close()
		delete(st, addr)
	}
}
