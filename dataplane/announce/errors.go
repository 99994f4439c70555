package announce

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

var errIPv4Only = errors.New("this version announces IPv4 addresses only")

// refused returns why a virtual IP is not announced, nil if it is; failed are interfaces.
func refused(vip model.VirtualIP, failed map[string]error) error {
	err := failed[vip.Interface]
	switch {
	case !vip.Address.Is4():
		return &model.ItemError{Key: vip.Key, Reason: ReasonKernelRefused, Err: fmt.Errorf("announce %s: %w", vip.Address, errIPv4Only)}
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
