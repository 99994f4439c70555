package nft

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Reasons of item errors, see model.ItemError.
const (
	ReasonKernelRefused = "KernelRefused"
	ReasonModuleMissing = "ModuleMissing"
)

// errBusy means that the ruleset changed during each attempt to read it.
var errBusy = errors.New("the host's firewall rules keep changing, so they could not be read as a whole; the agent tries again")

// errNotApplied means that somebody else writes to our table.
var errNotApplied = errors.New("the firewall table is not as it was just written; another program changes it: find it with `nft monitor`")

// explain adds what to do to an error of the kernel and gives the reason.
func explain(err error) (reason string, explained error) {
	reason, remedy := ReasonKernelRefused, ""
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		remedy = ": the agent needs the capability NET_ADMIN and the host's network; run it with the shipped manifests"
	case missing(err):
		reason = ReasonModuleMissing
		remedy = ": the kernel lacks nftables for the inet family; load it with `modprobe nf_tables` and add it to /etc/modules-load.d"
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		remedy = ": the kernel is out of memory; free memory on this host, the agent tries again"
	case errors.Is(err, syscall.EMSGSIZE):
		remedy = ": the change is larger than a netlink message may be on this host; the agent needs the capability NET_ADMIN in the host's user namespace"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		remedy = ": the kernel did not answer in time; the agent tries again"
	}
	return reason, fmt.Errorf("%w%s", err, remedy)
}

// missing tells whether the kernel has no nftables, or not the parts that the table needs.
func missing(err error) bool {
	for _, errno := range []syscall.Errno{syscall.EOPNOTSUPP, syscall.EAFNOSUPPORT, syscall.EPROTONOSUPPORT, syscall.ENOENT} {
		if errors.Is(err, errno) {
			return true
		}
	}
	return false
}
