package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	moby "github.com/moby/ipvs"
	"github.com/sirupsen/logrus"
	"github.com/vishvananda/netlink"
)

const (
	// callTimeout bounds one request; the slowest, a listing of 10,000 services, takes less
	// than a second.
	callTimeout = 10 * time.Second
	// familyName is IPVS_GENL_NAME (linux/ip_vs.h).
	familyName = "IPVS"
)

// Netlink is IPVS in the network namespace of the thread that first calls it. The zero value is
// ready; it opens its socket when first used and again after an error. Close it when done.
type Netlink struct {
	mu     sync.Mutex
	handle *moby.Handle
	family uint16 // the number that the library remembers for good
}

var _ Kernel = (*Netlink)(nil)

// Close closes the socket; the next call opens it again.
func (n *Netlink) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop()
}

func (n *Netlink) drop() {
	if n.handle != nil {
		n.handle.Close()
		n.handle = nil
	}
}

// open makes sure that the module is there before the library looks for it: the library looks
// once in the life of the process and goes on with a wrong number if it finds nothing.
func (n *Netlink) open() error {
	if n.handle != nil {
		return nil
	}
	family, err := lookUp()
	if err != nil {
		return err
	}
	if n.family != 0 && n.family != family {
		return ErrReloaded
	}
	handle, err := newHandle()
	if err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	n.handle, n.family = handle, family
	return nil
}

// lookUp returns the number of the kernel's IPVS family. Asking for it makes the kernel load
// ip_vs where that is allowed, without any program or right of ours.
func lookUp() (uint16, error) {
	family, err := netlink.GenlFamilyGet(familyName)
	if errors.Is(err, syscall.ENOENT) {
		return 0, ErrModuleMissing
	}
	if err != nil {
		return 0, fmt.Errorf("look up the netlink family %s: %w", familyName, err)
	}
	return family.ID, nil
}

// newHandle keeps the library from writing to a log of its own: it complains when there is no
// modprobe, although the module is there.
func newHandle() (*moby.Handle, error) {
	level := logrus.GetLevel()
	logrus.SetLevel(logrus.PanicLevel)
	defer logrus.SetLevel(level)
	return moby.New("")
}

// call runs one request. The library waits for answers without end; when the time is up the
// socket is closed under it, which ends its waiting.
func (n *Netlink) call(ctx context.Context, request func(*moby.Handle) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := n.open(); err != nil {
		return err
	}
	handle, done := n.handle, make(chan error, 1)
	go func() { done <- guarded(handle, request) }()
	select {
	case err := <-done:
		if err != nil && !answered(err) {
			n.drop()
		}
		return err
	case <-ctx.Done():
		n.drop()
		return fmt.Errorf("no answer from the kernel: %w", ctx.Err())
	}
}

// guarded turns a panic of the library, which trusts the length of answers, into an error.
func guarded(handle *moby.Handle, request func(*moby.Handle) error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("an answer of the kernel could not be understood: %v", r)
		}
	}()
	return request(handle)
}

// answered tells whether an error is the kernel's answer and the socket is still in step.
func answered(err error) bool {
	switch {
	case errors.Is(err, syscall.EEXIST), errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.ESRCH), errors.Is(err, syscall.EPERM):
		return true
	}
	return false
}

// Loaded implements Kernel. The module shows this file in each network namespace.
func (n *Netlink) Loaded() bool {
	_, err := os.Stat("/proc/thread-self/net/ip_vs")
	return !errors.Is(err, fs.ErrNotExist)
}

// Services implements Kernel.
func (n *Netlink) Services(ctx context.Context) ([]Service, error) {
	var found []*moby.Service
	err := n.call(ctx, func(h *moby.Handle) (err error) {
		found, err = h.GetServices()
		return err
	})
	if err != nil {
		return nil, err
	}
	services := make([]Service, 0, len(found))
	for _, s := range found {
		services = append(services, serviceFrom(s))
	}
	return services, nil
}

// Destinations implements Kernel.
func (n *Netlink) Destinations(ctx context.Context, s Service) ([]Destination, error) {
	var found []*moby.Destination
	err := n.call(ctx, func(h *moby.Handle) (err error) {
		found, err = h.GetDestinations(serviceTo(s))
		return err
	})
	if err != nil {
		return nil, err
	}
	destinations := make([]Destination, 0, len(found))
	for _, d := range found {
		destinations = append(destinations, destinationFrom(d))
	}
	return destinations, nil
}

// Apply implements Kernel.
func (n *Netlink) Apply(ctx context.Context, step Step) error {
	s, d := serviceTo(step.Service), destinationTo(step.Destination)
	return n.call(ctx, func(h *moby.Handle) error {
		switch step.Act {
		case AddService:
			return h.NewService(s)
		case UpdateService:
			return h.UpdateService(s)
		case RemoveService:
			return h.DelService(s)
		case AddDestination:
			return h.NewDestination(s, d)
		case UpdateDestination:
			return h.UpdateDestination(s, d)
		case RemoveDestination:
			return h.DelDestination(s, d)
		}
		return fmt.Errorf("unknown act %d", step.Act)
	})
}

// Timeouts implements Kernel.
func (n *Netlink) Timeouts(ctx context.Context) (Timeouts, error) {
	var found *moby.Config
	err := n.call(ctx, func(h *moby.Handle) (err error) {
		found, err = h.GetConfig()
		return err
	})
	if err != nil {
		return Timeouts{}, err
	}
	return Timeouts{TCP: found.TimeoutTCP, TCPFin: found.TimeoutTCPFin, UDP: found.TimeoutUDP}, nil
}

// SetTimeouts implements Kernel.
func (n *Netlink) SetTimeouts(ctx context.Context, t Timeouts) error {
	config := &moby.Config{TimeoutTCP: t.TCP, TimeoutTCPFin: t.TCPFin, TimeoutUDP: t.UDP}
	return n.call(ctx, func(h *moby.Handle) error { return h.SetConfig(config) })
}
