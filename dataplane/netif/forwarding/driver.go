package forwarding

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"
)

// Need is what the host must forward. The zero value is nothing.
type Need struct {
	// Interfaces are the names of those whose IPv4 packets are forwarded.
	Interfaces []string
	// IPv4 and IPv6 make the whole host forward the family.
	IPv4, IPv6 bool
}

// Config is what a Driver needs.
type Config struct {
	// Dir is /proc/sys/net, or where the host's is mounted and can be written.
	Dir string
	// RecordPath is the file that remembers settings; its folder must exist and outlive the
	// process, not necessarily the host.
	RecordPath string
	// Boot identifies the running system, whose settings do not outlive it; empty: not known.
	Boot string
	// Log gets what an administrator may want to know; the zero value discards.
	Log logr.Logger
}

// Driver keeps the settings. Create it with New. It may be used from several goroutines.
type Driver struct {
	mu     sync.Mutex
	config Config
}

// New returns a driver; nothing is touched before Set.
func New(config Config) *Driver { return &Driver{config: config} }

// setting is a file below Config.Dir and its value.
type setting struct{ path, value string }

const forwarding6 = "ipv6/conf/all/forwarding"

// Set makes the host forward what is needed, and gives settings back that were changed for what is
// no longer needed. A setting that somebody changed meanwhile is theirs. What is as it should be is
// not written; what was written is read back. Settings that fail do not stop the others.
func (d *Driver) Set(ctx context.Context, need Need) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("forwarding: %w", err)
	}
	r, err := d.load()
	if err != nil {
		return err
	}
	var errs []error
	wanted := d.settings(need, r)
	for _, c := range slices.Backward(slices.Clone(r.Changes)) {
		if !slices.ContainsFunc(wanted, func(s setting) bool { return s.path == c.Path }) {
			errs = append(errs, d.restore(r, c))
		}
	}
	for _, s := range wanted {
		errs = append(errs, d.ensure(r, s))
	}
	return errors.Join(errs...)
}

// settings are those that a need asks for, in the order in which they are made; they are given back
// in the opposite one.
func (d *Driver) settings(need Need, r *record) []setting {
	var all []setting
	if need.IPv6 {
		for _, path := range d.advertised(r) {
			all = append(all, setting{path, "2"})
		}
		all = append(all, setting{forwarding6, "1"})
	}
	if need.IPv4 {
		return append(all, setting{"ipv4/ip_forward", "1"})
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(need.Interfaces))) {
		all = append(all, setting{"ipv4/conf/" + name + "/forwarding", "1"})
	}
	return all
}

// advertised are the settings of interfaces that believe router advertisements while the host does
// not forward, and those that were changed for it before.
func (d *Driver) advertised(r *record) []string {
	var all []string
	found, _ := filepath.Glob(filepath.Join(d.config.Dir, "ipv6/conf/*/accept_ra")) // the pattern is well formed
	for _, file := range found {
		path := strings.TrimPrefix(file, d.config.Dir+"/")
		value, _ := d.read(path) // an interface that goes meanwhile needs nothing
		if path != "ipv6/conf/all/accept_ra" && (value == "1" || value == "2" && r.find(path) >= 0) {
			all = append(all, path)
		}
	}
	return all
}

func (d *Driver) ensure(r *record, s setting) error {
	now, err := d.read(s.path)
	if err != nil {
		return explain(s, err)
	}
	if now == s.value {
		return nil
	}
	if err := d.remember(r, change{s.path, now, s.value}); err != nil {
		return err
	}
	d.config.Log.Info("a setting of the host changes", "setting", name(s.path), "from", now, "to", s.value)
	return d.write(s)
}

func (d *Driver) restore(r *record, c change) error {
	now, err := d.read(c.Path)
	if err == nil && now == c.Set {
		d.config.Log.Info("a setting of the host is given back", "setting", name(c.Path), "to", c.Before)
		err = d.write(setting{c.Path, c.Before})
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // its interface may be gone
		return explain(setting{c.Path, c.Before}, err)
	}
	return d.forget(r, c.Path)
}

func (d *Driver) read(path string) (string, error) {
	b, err := os.ReadFile(filepath.Join(d.config.Dir, path))
	return strings.TrimSpace(string(b)), err
}

// write does not create the file: a folder that is not the kernel's would hide a mistake.
func (d *Driver) write(s setting) error {
	file, err := os.OpenFile(filepath.Join(d.config.Dir, s.path), os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return explain(s, err)
	}
	_, err = file.WriteString(s.value)
	if err = errors.Join(err, file.Close()); err != nil {
		return explain(s, err)
	}
	if now, err := d.read(s.path); err != nil || now != s.value {
		return explain(s, errors.Join(err, fmt.Errorf("it is %q after it was set", now)))
	}
	return nil
}

// name is how sysctl(8) writes a setting.
func name(path string) string { return "net/" + path }

func explain(s setting, err error) error {
	return fmt.Errorf("set %s=%s, which modes L4NAT and L4SNAT need: %w; set it on the host in /etc/sysctl.d, or let the agent write /proc/sys/net (in a pod the host's is mounted)",
		name(s.path), s.value, err)
}
