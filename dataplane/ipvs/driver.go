package ipvs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// Marks is a range of firewall marks: those with mark & Mask == Base.
type Marks struct {
	Base, Mask uint32
}

// DefaultMarks returns the range that is ours unless configured otherwise.
func DefaultMarks() Marks { return Marks{Base: 0x54000000, Mask: 0xff000000} }

func (m Marks) own(mark uint32) bool { return mark != 0 && mark&m.Mask == m.Base }

// Config is what a Driver needs.
type Config struct {
	// Kernel is a Netlink or, in tests, a Fake.
	Kernel Kernel
	// Marks is the range of our services; the zero value: DefaultMarks.
	Marks Marks
	// SysctlDir is where net/ipv4/vs of the host can be written; empty: DefaultSysctlDir. In a
	// container /proc/sys is read-only, so there it is a mount of the host's.
	SysctlDir string
}

// Driver programmes IPVS. Create it with New.
type Driver struct {
	mu     sync.Mutex
	config Config
	keys   map[uint32]string // keys of the services of the last Set by mark
}

// New returns a driver.
func New(config Config) *Driver {
	if config.Marks == (Marks{}) {
		config.Marks = DefaultMarks()
	}
	if config.SysctlDir == "" {
		config.SysctlDir = DefaultSysctlDir
	}
	return &Driver{config: config}
}

// Set makes the kernel run all these services and, of our range of marks, no others. Schedulers,
// persistence and weights are changed in place; no service is removed and added again. What is
// not to be changed is not written.
//
// A service or server that fails does not stop the others; item errors carry the service's Key,
// or the mark for a leftover. A service that is wrong in itself stays as it was. Without services
// the kernel module is not loaded.
func (d *Driver) Set(ctx context.Context, all []model.VirtualService) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	want, errs := d.config.Marks.desired(all)
	d.remember(want)
	if len(all) == 0 && !d.config.Kernel.Loaded() {
		return nil
	}
	have, err := d.observe(ctx)
	if err != nil {
		return errors.Join(append(errs, unreadable(all, err)...)...)
	}
	return errors.Join(append(errs, d.apply(ctx, want, steps(want, have))...)...)
}

func (d *Driver) remember(want map[uint32]target) {
	d.keys = make(map[uint32]string, len(want))
	for mark, t := range want {
		d.keys[mark] = t.key
	}
}

// unreadable reports for each service that IPVS cannot be read.
func unreadable(all []model.VirtualService, err error) []error {
	reason, err := explain(err)
	err = fmt.Errorf("read services: %w", err)
	if len(all) == 0 {
		return []error{fmt.Errorf("ipvs: %w", err)}
	}
	errs := make([]error, 0, len(all))
	for _, s := range all {
		errs = append(errs, &model.ItemError{Key: s.Key, Reason: reason, Err: err})
	}
	return errs
}

func (d *Driver) observe(ctx context.Context) (map[uint32]present, error) {
	services, err := d.config.Kernel.Services(ctx)
	if err != nil {
		return nil, err
	}
	have := map[uint32]present{}
	for _, s := range services {
		if !d.config.Marks.own(s.Mark) {
			continue
		}
		found, err := d.config.Kernel.Destinations(ctx, s)
		if errors.Is(err, syscall.ESRCH) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, err
		}
		servers := make(map[string]Destination, len(found))
		for _, server := range found {
			servers[server.id()] = server
		}
		have[s.Mark] = present{service: s, servers: servers}
	}
	return have, nil
}

func (d *Driver) apply(ctx context.Context, want map[uint32]target, all []Step) []error {
	missing := map[uint32]bool{} // services that could not be added
	var errs []error
	for _, step := range all {
		mark := step.Service.Mark
		if missing[mark] {
			continue
		}
		err := d.step(ctx, step)
		if err == nil {
			continue
		}
		missing[mark] = step.Act == AddService
		errs = append(errs, stepError(want[mark], step, err))
	}
	return errs
}

// step applies one step; that it has already been taken is no error, and what turns out to be
// there is changed instead of added.
func (d *Driver) step(ctx context.Context, step Step) error {
	err := d.config.Kernel.Apply(ctx, step)
	gone := errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.ENOENT)
	switch {
	case errors.Is(err, syscall.EEXIST) && step.Act == AddService:
		step.Act = UpdateService
		return d.config.Kernel.Apply(ctx, step)
	case errors.Is(err, syscall.EEXIST) && step.Act == AddDestination:
		step.Act = UpdateDestination
		return d.config.Kernel.Apply(ctx, step)
	case gone && (step.Act == RemoveDestination || step.Act == RemoveService):
		return nil
	}
	return err
}

// Available tells whether the kernel has IPVS and lets us use it; the error says what to do.
func (d *Driver) Available(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.config.Kernel.Timeouts(ctx); err != nil {
		_, err = explain(err)
		return fmt.Errorf("ipvs: %w", err)
	}
	return nil
}

// SetTimeouts sets the idle timeouts of connections of the whole host, foreign services too; 0
// leaves one as it is. Times are rounded up to whole seconds. It writes only if one differs.
func (d *Driver) SetTimeouts(ctx context.Context, tcp, tcpFin, udp time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	have, err := d.config.Kernel.Timeouts(ctx)
	if err != nil {
		_, err = explain(err)
		return fmt.Errorf("ipvs: read timeouts: %w", err)
	}
	want := Timeouts{TCP: changed(tcp, have.TCP), TCPFin: changed(tcpFin, have.TCPFin), UDP: changed(udp, have.UDP)}
	if want == (Timeouts{}) {
		return nil
	}
	if err := d.config.Kernel.SetTimeouts(ctx, want); err != nil {
		_, err = explain(err)
		return fmt.Errorf("ipvs: set timeouts: %w", err)
	}
	return nil
}

// changed returns want in whole seconds, 0 if that is what is there or nothing is wanted.
func changed(want, have time.Duration) time.Duration {
	want = (want + time.Second - 1).Truncate(time.Second)
	if want <= 0 || want == have {
		return 0
	}
	return want
}
