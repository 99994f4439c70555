package ipvs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/truepacs/balancer/dataplane/model"
)

// Reasons of item errors, see model.ItemError.
const (
	ReasonKernelRefused = "KernelRefused"
	ReasonModuleMissing = "ModuleMissing"
)

// ErrModuleMissing means that the kernel has no IPVS.
var ErrModuleMissing = errors.New("the kernel has no IPVS")

// ErrReloaded means that the module was unloaded and loaded again while this program ran.
var ErrReloaded = errors.New("the kernel module ip_vs was loaded anew")

// explain adds what to do to an error of the kernel and gives the reason.
func explain(err error) (reason string, explained error) {
	reason, remedy := ReasonKernelRefused, ""
	switch {
	case errors.Is(err, ErrModuleMissing), errors.Is(err, syscall.ENOPROTOOPT), errors.Is(err, syscall.EPROTONOSUPPORT):
		reason = ReasonModuleMissing
		remedy = ": load it with `modprobe ip_vs` and add it to /etc/modules-load.d"
	case errors.Is(err, ErrReloaded):
		remedy = ": restart the agent, connections go on meanwhile"
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		remedy = ": the agent needs the capability NET_ADMIN and the host's network; run it with the shipped manifests"
	case errors.Is(err, syscall.ENOMEM), errors.Is(err, syscall.ENOBUFS):
		remedy = ": the kernel is out of memory; free memory on this host, the agent tries again"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, syscall.EAGAIN):
		remedy = ": the kernel did not answer in time; the agent tries again"
	}
	return reason, fmt.Errorf("%w%s", err, remedy)
}

// stepError makes an item error of what the kernel answered to a step.
func stepError(t target, step Step, err error) *model.ItemError {
	reason, explained := explain(err)
	service := step.Act == AddService || step.Act == UpdateService
	switch {
	case service && errors.Is(err, syscall.ENOENT):
		reason = ReasonModuleMissing
		explained = fmt.Errorf("scheduler %s: %w: load it with `modprobe ip_vs_%s` and add it to /etc/modules-load.d",
			step.Service.Scheduler, err, step.Service.Scheduler)
	case !service && errors.Is(err, syscall.EINVAL):
		explained = fmt.Errorf("%w: the kernel takes no broadcast or multicast address for a server; correct its address", err)
	case errors.Is(err, syscall.ESRCH):
		explained = fmt.Errorf("%w: another program has removed the service; the agent adds it again", err)
	}
	key := t.key
	if key == "" {
		key = fmt.Sprintf("%#x", step.Service.Mark)
	}
	return &model.ItemError{Key: key, Reason: reason, Err: fmt.Errorf("%s: %w", describe(t, step), explained)}
}

func describe(t target, step Step) string {
	switch step.Act {
	case AddDestination, UpdateDestination, RemoveDestination:
		name := t.names[step.Destination.id()]
		return fmt.Sprintf("%s %s (%s) of %s", step.Act, name, step.Destination.Address, step.Service)
	}
	return fmt.Sprintf("%s of %s", step.Act, step.Service)
}
