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
