package ipvs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/settings"
)

// passTimeout bounds one call of Set. Each request to the kernel has a deadline of its own; this is
// for a kernel that answers every one of thousands just in time.
const passTimeout = 2 * time.Minute

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
	// RecordPath is the file that remembers what settings of IPVS were before they were changed; its
	// folder must exist and outlive the process, not necessarily the host. Empty: only the Driver
	// remembers.
	RecordPath string
	// Boot identifies the running system, whose settings do not outlive it; empty: not known.
	Boot string
	// Log gets what an administrator may want to know; the zero value discards.
	Log logr.Logger
}

// Driver programmes IPVS. Create it with New. It may be used from several goroutines.
type Driver struct {
	config Config

	mu      sync.Mutex
	wishes  []model.VirtualService // of the last Set
	want    map[genl.ServiceID]target
	refused []error // what of the wishes cannot be
	memory  memory
	settled bool // the last Set left nothing to be written

	lastWeights lastWeights

	host   *host
	keeper *settings.Keeper
	held   int // settings that the last SetSettings has not given back
}

// New returns a driver.
func New(config Config) *Driver {
	if config.Marks == (Marks{}) {
		config.Marks = DefaultMarks()
	}
	if config.SysctlDir == "" {
		config.SysctlDir = DefaultSysctlDir
	}
	h := &host{files: settings.Files{Dir: config.SysctlDir}, kernel: config.Kernel}
	return &Driver{
		config: config, lastWeights: lastWeights{}, host: h,
		keeper: settings.New(settings.Config{
			Host: h, RecordPath: config.RecordPath, Boot: config.Boot, Explain: explainSetting, Log: config.Log,
		}),
	}
}

// Set makes the kernel run all these services and, of our range of marks, no others. Everything is
// changed in place; no service is removed and added again. What is not to be changed is not written.
// The weights are those of the services; a server in state Drain has none, one in Maintenance is not
// there.
//
// A service or server that fails does not stop the others; item errors carry the service's Key,
// or the mark for a leftover. A service that is wrong in itself, and a server that is, stay as they
// were. Without services the kernel module is not loaded. If the error is ErrUnreadable, nothing was
// done.
func (d *Driver) Set(ctx context.Context, all []model.VirtualService) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	d.wish(all)
	if len(all) == 0 && !d.config.Kernel.Loaded() {
		d.memory.forget()
		d.memory.alone = true // nobody has services in a kernel without IPVS
		return nil
	}
	quiet, err := d.observe(ctx)
	if err != nil {
		d.memory.forget()
		d.settled = false
		return errors.Join(append(d.refused[:len(d.refused):len(d.refused)], unreadable(all, err)...)...)
	}
	if quiet && d.settled {
		return errors.Join(d.refused...)
	}
	errs := d.write(ctx)
	return errors.Join(append(d.refused[:len(d.refused):len(d.refused)], errs...)...)
}

// wish notes what is wanted, if it is not what was wanted the last time.
func (d *Driver) wish(all []model.VirtualService) {
	if d.want != nil && sameWishes(d.wishes, all) {
		return
	}
	d.wishes = copyWishes(all)
	d.want, d.refused = d.config.Marks.desired(all)
	d.settled = false
}

// unreadable reports for each service that IPVS cannot be read.
func unreadable(all []model.VirtualService, err error) []error {
	reason, err := explain(err)
	err = fmt.Errorf("%w: %w", ErrUnreadable, err)
	if len(all) == 0 {
		return []error{fmt.Errorf("ipvs: %w", err)}
	}
	errs := make([]error, 0, len(all))
	for _, s := range all {
		errs = append(errs, &model.ItemError{Key: s.Key, Reason: reason, Err: err})
	}
	return errs
}
