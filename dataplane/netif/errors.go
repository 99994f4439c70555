package netif

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/truepacs/balancer/dataplane/model"
)

// Reasons of item errors, see model.ItemError.
const (
	ReasonKernelRefused     = "KernelRefused"
	ReasonInterfaceNotFound = "InterfaceNotFound"
)

// itemError makes an item error of what the kernel answered to act ("add 192.0.2.1/32 to eth0").
func itemError(key, act string, err error) *model.ItemError {
	reason := ReasonKernelRefused
	if errors.Is(err, syscall.ENODEV) {
		reason = ReasonInterfaceNotFound
	}
	return &model.ItemError{Key: key, Reason: reason, Err: fmt.Errorf("%s: %w%s", act, err, remedy(err))}
}

// remedy says what to do about an answer of the kernel; empty if there is nothing to add.
func remedy(err error) string {
	switch {
	case errors.Is(err, errIPv6Off):
		return ""
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return ": the agent needs the capability NET_ADMIN and the host's network; run it with the shipped manifests"
	case errors.Is(err, syscall.ENODEV):
		return ": the interface has just gone; check virtualIPs[].interfaces"
	case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.EAFNOSUPPORT):
		return ": the interface or the kernel does not carry this address family"
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return ": the kernel is out of memory; free memory on this host, the agent tries again"
	case errors.Is(err, syscall.EAGAIN):
		return ": the kernel did not answer in time; the agent tries again"
	}
	return ""
}

// Explain wraps an error of a Kernel with where it came from and what to do about it.
func Explain(where string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w%s", where, err, remedy(err))
}

var errIPv6Off = errors.New("IPv6 is switched off")

// ExplainAdd wraps what a Kernel answered to AddAddress where the answer means something else than
// usual: Linux says EACCES where IPv6 is switched off on the interface by sysctl and EINVAL where
// its MTU is below IPv6's minimum (RFC 8200 section 5).
func ExplainAdd(a Address, err error) error {
	switch {
	case !a.Prefix.Addr().Is6():
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%w on %s: %w: set net.ipv6.conf.%s.disable_ipv6 to 0 in /etc/sysctl.d", errIPv6Off, a.Interface, err, a.Interface)
	case errors.Is(err, syscall.EINVAL):
		return fmt.Errorf("%w on %s: %w: give the interface an MTU of 1280 or more", errIPv6Off, a.Interface, err)
	}
	return err
}
