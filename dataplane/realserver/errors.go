package realserver

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"syscall"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
)

var (
	errNoInterface = errors.New("does not exist on this host or is the loopback: name the interface that faces the director")
	errOverruled   = errors.New("it overrules the interface's own setting and would let this host answer ARP for the virtual IP")
	errNoTunnel    = errors.New("this kernel has no such tunnel: load the module ipip (for IPv6 ip6_tunnel), or serve by direct routing on one segment")
	errUndone      = errors.New("another program undoes them; find it (tuned, a sysctl service, a network manager) and exempt this interface")
)

// mute tells whether an interface cannot answer at all: it has just gone or has no IPv4.
func mute(err error) bool { return errors.Is(err, syscall.ENODEV) || errors.Is(err, errNoAnswer) }

// itemErrors reports, for each address, why its interface could not be prepared.
func itemErrors(all []model.LoopbackVIP, failed failures) []error {
	var errs []error
	for _, v := range all {
		switch err := failed.of(v); {
		case !holdable(v.Address):
			errs = append(errs, itemError(v.Address, errors.New("no address that an interface can hold: write an IPv4 or IPv6 address without zone")))
		case err != nil:
			errs = append(errs, itemError(v.Address, err))
		}
	}
	return errs
}

func itemError(address netip.Addr, err error) *model.ItemError {
	reason := netif.ReasonKernelRefused
	if errors.Is(err, errNoInterface) || errors.Is(err, syscall.ENODEV) {
		reason = netif.ReasonInterfaceNotFound
	}
	return &model.ItemError{Key: address.String(), Reason: reason, Err: fmt.Errorf("%w%s", err, remedy(err))}
}

// remedy says what to do about an answer of the kernel; empty if there is nothing to add.
func remedy(err error) string {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES) && !errors.As(err, new(*fs.PathError)):
		return ": the agent needs the capability NET_ADMIN and the host's network; run it with the shipped manifests"
	case errors.Is(err, syscall.ENODEV):
		return ": the interface has just gone; the agent tries again"
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return ": IPv4 is switched off on the interface (MTU below 68?)"
	case errors.Is(err, syscall.EAGAIN):
		return ": the kernel did not answer in time; the agent tries again"
	}
	return ""
}
