package announce

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"github.com/truepacs/balancer/dataplane/model"
)

// Reasons of item errors, see model.ItemError.
const (
	ReasonKernelRefused     = "KernelRefused"
	ReasonInterfaceNotFound = "InterfaceNotFound"
	// ReasonPending: it is not known yet whether another host has the address.
	ReasonPending = "Pending"
	// ReasonAddressOwnedByOther: another host has the address.
	ReasonAddressOwnedByOther = "AddressOwnedByOther"
)

var errNoAddress = errors.New("no address that an interface can hold: write an IPv4 or IPv6 address without zone")

// usable tells whether an address can be announced or asked for.
func usable(a netip.Addr) bool { return a.IsValid() && !a.Is4In6() && a.Zone() == "" }

// refused returns why a virtual IP is not announced, nil if it is; failed are ports.
func refused(vip model.VirtualIP, failed map[portKey]error) error {
	err := failed[portKey{vip.Interface, kindOf(vip.Address)}]
	switch {
	case !usable(vip.Address):
		return &model.ItemError{Key: vip.Key, Reason: ReasonKernelRefused, Err: fmt.Errorf("announce %s: %w", vip.Address, errNoAddress)}
	case err == nil:
		return nil
	}
	reason := ReasonKernelRefused
	if errors.Is(err, ErrNoInterface) {
		reason = ReasonInterfaceNotFound
	}
	return &model.ItemError{Key: vip.Key, Reason: reason, Err: fmt.Errorf("announce %s: %w%s", vip.Address, err, remedy(err))}
}

// remedy says what to do about an error; empty if there is nothing to add.
func remedy(err error) string {
	switch {
	case errors.Is(err, ErrNoInterface), errors.Is(err, syscall.ENODEV), errors.Is(err, syscall.ENXIO):
		return ": check virtualIPs[].interfaces"
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return ": the agent needs the capability NET_RAW and the host's network; run it with the shipped manifests"
	case errors.Is(err, syscall.ENETDOWN):
		return ": the interface is down; switch it on with `ip link set ... up`"
	}
	return ""
}
