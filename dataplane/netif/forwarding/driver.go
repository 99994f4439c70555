package forwarding

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/settings"
)

// Need is what the host must forward. The zero value is nothing.
type Need struct {
	// Interfaces are the names of those whose IPv4 packets are forwarded.
	Interfaces []string
	// IPv4 and IPv6 make the whole host forward the family.
	IPv4, IPv6 bool
	// Partial says that there is more that is not known now, as the interface of a server whose
	// route is missing: nothing is given back.
	Partial bool
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
	files  settings.Files
	keeper *settings.Keeper
}

// New returns a driver; nothing is touched before Set.
func New(config Config) *Driver {
	d := &Driver{files: settings.Files{Dir: config.Dir}}
	d.keeper = settings.New(settings.Config{
		Host: d.files, RecordPath: config.RecordPath, Boot: config.Boot, Log: config.Log, Follow: d.follow, Explain: explain,
	})
	return d
}

// Names of settings, below Config.Dir.
const (
	forward4      = "ipv4/ip_forward"
	forward6      = "ipv6/conf/all/forwarding"
	redirects4    = "ipv4/conf/all/accept_redirects"
	off, on, both = "0", "1", "2" // both: accept_ra of a host that forwards
)

// Set makes the host forward what is needed, and gives settings back that were changed for what is
// no longer needed. A setting that somebody changed meanwhile is theirs. What is as it should be is
// not written; what was written is read back. Settings that fail do not stop the others.
func (d *Driver) Set(ctx context.Context, need Need) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("forwarding: %w", err)
	}
	all, err := d.settings(ctx, need)
	if err != nil {
		return fmt.Errorf("forwarding: %w", err)
	}
	return d.keeper.Set(ctx, settings.Wish{Settings: all, Keep: need.Partial})
}

// settings are those that a need asks for, in the order in which they are made.
func (d *Driver) settings(ctx context.Context, need Need) ([]settings.Setting, error) {
	var all []settings.Setting
	if need.IPv6 {
		advertised, err := d.advertised(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range advertised {
			all = append(all, settings.Setting{Name: name, Value: both})
		}
		all = append(all, settings.Setting{Name: forward6, Value: on})
	}
	if need.IPv4 {
		all = append(all, settings.Setting{Name: forward4, Value: on})
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(need.Interfaces))) {
		all = append(all, settings.Setting{Name: conf("ipv4", name, "forwarding"), Value: on})
	}
	return all, nil
}

// advertised are the settings of interfaces that believe router advertisements as long as they do
// not forward, and those that were changed for it before. Where the administrator lets the host, or
// the interface, forward, advertisements are ignored on purpose.
func (d *Driver) advertised(ctx context.Context) ([]string, error) {
	_, ours, err := d.keeper.Before(forward6)
	if err != nil {
		return nil, err
	}
	// That it cannot be read is said where it is set.
	if now, _ := d.files.Read(ctx, forward6); now != off && (now != on || !ours) {
		return nil, nil
	}
	var all []string
	for _, name := range d.interfaces("ipv6", "accept_ra") {
		setting := conf("ipv6", name, "accept_ra")
		value, _ := d.files.Read(ctx, setting) // an interface that goes meanwhile needs nothing
		_, raised, err := d.keeper.Before(setting)
		if err != nil {
			return nil, err
		}
		if value == both && raised || value == on && !d.router(ctx, name, ours) {
			all = append(all, setting)
		}
	}
	return all, nil
}

// router tells whether the administrator lets an interface forward IPv6; ours: the host forwards
// because of us, and all its interfaces with it.
func (d *Driver) router(ctx context.Context, name string, ours bool) bool {
	setting := conf("ipv6", name, "forwarding")
	if before, known, _ := d.keeper.Before(setting); known || ours {
		return known && before != off
	}
	now, _ := d.files.Read(ctx, setting)
	return now == on
}

// follow is what the kernel writes when a family's forwarding changes: all its interfaces, and for
// IPv4 whether the host believes ICMP redirects (inet_forward_change, net/ipv4/devinet.c;
// addrconf_fixup_forwarding, net/ipv6/addrconf.c).
func (d *Driver) follow(s settings.Setting) []settings.Setting {
	family := "ipv6"
	var all []settings.Setting
	switch s.Name {
	case forward4:
		family = "ipv4"
		redirects := on
		if s.Value == on {
			redirects = off
		}
		all = append(all, settings.Setting{Name: redirects4, Value: redirects})
	case forward6:
	default:
		return nil
	}
	for _, name := range append(d.interfaces(family, "forwarding"), "default") {
		all = append(all, settings.Setting{Name: conf(family, name, "forwarding"), Value: s.Value})
	}
	return all
}

// interfaces are the names of those that have a setting, ascending.
func (d *Driver) interfaces(family, setting string) []string {
	found, _ := filepath.Glob(filepath.Join(d.files.Dir, conf(family, "*", setting))) // the pattern is well formed
	var names []string
	for _, file := range found {
		if name := filepath.Base(filepath.Dir(file)); name != "all" && name != "default" {
			names = append(names, name)
		}
	}
	return names
}

func conf(family, name, setting string) string {
	return strings.Join([]string{family, "conf", name, setting}, "/")
}

func explain(s settings.Setting, err error) error {
	return fmt.Errorf("set net/%s=%s, which modes L4NAT and L4SNAT need: %w; set it on the host in /etc/sysctl.d, or let the agent write /proc/sys/net (in a pod the host's is mounted)",
		s.Name, s.Value, err)
}
