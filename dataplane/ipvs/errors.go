package ipvs

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
)

// Reasons of item errors, see model.ItemError.
const (
	ReasonKernelRefused = "KernelRefused"
	ReasonModuleMissing = "ModuleMissing"
)

// ErrModuleMissing means that the kernel has no IPVS.
var ErrModuleMissing = genl.ErrNoModule

// ErrUnreadable means that Set could not read what the kernel has, and has done nothing.
var ErrUnreadable = errors.New("read services")

// remedy is an error in words of its own.
type remedy struct {
	words string
	cause error
}

func (r *remedy) Error() string { return r.words }
func (r *remedy) Unwrap() error { return r.cause }

// cause is what the kernel said, without what the caller says better.
func cause(err error) string {
	var refusal *genl.Error
	if errors.As(err, &refusal) {
		return refusal.Errno.Error()
	}
	return err.Error()
}

// explain adds what to do to an error of the kernel and gives the reason.
func explain(err error) (reason string, explained error) {
	say := func(words string) error { return &remedy{words: cause(err) + ": " + words, cause: err} }
	switch {
	case errors.Is(err, genl.ErrNoModule), errors.Is(err, unix.ENOPROTOOPT), errors.Is(err, unix.EPROTONOSUPPORT):
		return ReasonModuleMissing, &remedy{"the kernel has no IPVS: load it with `modprobe ip_vs` and add it to /etc/modules-load.d", err}
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EACCES):
		return ReasonKernelRefused, say("the agent needs the capability NET_ADMIN and the host's network; run it with the shipped manifests")
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOBUFS), errors.Is(err, genl.ErrMemory), errors.Is(err, genl.ErrOverrun):
		return ReasonKernelRefused, say("the kernel is out of memory; free memory on this host, the agent tries again")
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, genl.ErrTimeout), errors.Is(err, unix.EAGAIN):
		return ReasonKernelRefused, say("the kernel did not answer in time; the agent tries again")
	case errors.Is(err, genl.ErrInterrupted):
		return ReasonKernelRefused, say("another program changes IPVS all the time; find it with `ipvsadm -Ln`, the agent tries again")
	case errors.Is(err, unix.EAFNOSUPPORT):
		return ReasonKernelRefused, say("IPv6 is off or not built into IPVS on this host; enable IPv6 or take IPv4 addresses")
	}
	return ReasonKernelRefused, err
}

// explainChange adds what the answer means for this change.
func explainChange(c *genl.Change, err error) (reason string, explained error) {
	say := func(words string) error { return &remedy{words: cause(err) + ": " + words, cause: err} }
	service := c.Command == genl.NewService || c.Command == genl.SetService
	name := c.Service.Scheduler
	switch {
	case service && errors.Is(err, unix.ENOENT):
		return ReasonModuleMissing, &remedy{fmt.Sprintf(
			"the kernel has no scheduler %s (%s): load it with `modprobe ip_vs_%s` and add it to /etc/modules-load.d", name, cause(err), name), err}
	case service && errors.Is(err, unix.EINVAL):
		return ReasonKernelRefused, say("the kernel does not take these settings with the scheduler " + name)
	case !service && c.Destination.Forward == genl.Tunnel && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT)):
		return ReasonKernelRefused, say("the kernel does not tunnel to this server; load `modprobe ipip` here and on the server, check the server's address, or use L4DR, L4SNAT or L7SNAT")
	case !service && errors.Is(err, unix.EINVAL):
		return ReasonKernelRefused, say("the kernel takes no broadcast, multicast or link-local address for a server; correct its address")
	case !service && errors.Is(err, unix.ERANGE):
		return ReasonKernelRefused, say("the kernel does not take this weight or these numbers of connections; correct them")
	case errors.Is(err, unix.ESRCH):
		return ReasonKernelRefused, say("another program has removed the service; the agent adds it again")
	}
	return explain(err)
}

func describe(t *target, c *genl.Change) string {
	act := map[genl.Command]string{
		genl.NewService: "add service", genl.SetService: "change service", genl.DelService: "remove service",
		genl.NewDest: "add server", genl.SetDest: "change server", genl.DelDest: "remove server",
	}[c.Command]
	switch c.Command {
	case genl.NewDest, genl.SetDest, genl.DelDest:
		return fmt.Sprintf("%s %s (%s) of %s", act, t.names[c.Destination.Address], c.Destination.Address.Addr(), c.Service.ServiceID)
	}
	return fmt.Sprintf("%s of %s", act, c.Service.ServiceID)
}
