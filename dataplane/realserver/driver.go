package realserver

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
)

// Config is what a Driver needs.
type Config struct {
	// Kernel has the interfaces and addresses: netif.Rtnetlink or, in tests, a Fake.
	Kernel netif.Kernel
	// Sysctls has the ARP settings: Rtnetlink or, in tests, a Fake.
	Sysctls Sysctls
	// Tunnels makes tunnel devices: Rtnetlink or, in tests, a Fake; nil: addresses that packets
	// reach through a tunnel fail.
	Tunnels Tunnels
	// RecordPath is the file that remembers settings; its folder must exist and outlive the
	// process, not necessarily the host.
	RecordPath string
	// Log gets what an administrator may want to know; the zero value discards.
	Log logr.Logger
}

// Driver prepares this host as a real server. Create it with New.
type Driver struct {
	mu     sync.Mutex
	config Config
	marker netif.Marker
}

// New returns a driver.
func New(config Config) *Driver {
	return &Driver{config: config, marker: netif.RealServerMarker()}
}

// Set makes the host a real server for all of these addresses, and for no other one that it has
// been one for. IPv4 addresses get silence at every interface that could answer ARP for them, see
// Audible; IPv6 needs no settings, for Linux answers neighbour solicitations for addresses of the
// asked interface only, and addresses on lo are Passive. In this order: settings that will change
// are recorded, settings are changed and read back, addresses are added to lo; addresses that are
// no longer wanted are removed, then the settings of interfaces that need not be silent any more
// are restored. It may stop or die at any point; the next call goes on from there. What is not to
// be changed is not written.
//
// Where packets come through a tunnel, the device for it is made or switched on, its source check
// becomes loose, and IPv4 addresses are on it, too; it is switched off and gets its check back when the last address that needs
// it goes. A device that was on before stays on.
//
// An address on lo that was there without our mark is used and never removed. Item errors carry
// the address; an address whose interface cannot be prepared is not added, because the host
// would answer ARP for it and take the service away from the director.
func (d *Driver) Set(ctx context.Context, all []model.LoopbackVIP) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p, err := d.begin(ctx)
	if err != nil {
		return err
	}
	failed := p.prepare(all)
	errs := itemErrors(all, failed)
	errs = append(errs, p.addAddresses(all, failed)...)
	removal := p.removeAddresses(all)
	errs = append(errs, removal...)
	if len(removal) == 0 {
		errs = append(errs, p.restore(all)...)
		errs = append(errs, p.lower(all)...)
	}
	return errors.Join(errs...)
}

// pass is the state of one call of Set.
type pass struct {
	*Driver
	ctx      context.Context
	links    map[string]netif.Link
	loopback netif.Link
	all      []netif.Address
	there    []netif.Address // of lo and the IPv4 tunnel
	record   record
}

func (d *Driver) begin(ctx context.Context) (*pass, error) {
	p := &pass{Driver: d, ctx: ctx, links: map[string]netif.Link{}}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("realserver: %w", err)
	}
	links, err := d.config.Kernel.Links()
	if err != nil {
		return nil, netif.Explain("realserver", err)
	}
	for _, l := range links {
		p.links[l.Name] = l
		if l.Loopback {
			p.loopback = l
		}
	}
	if p.loopback.Index == 0 {
		return nil, errors.New("realserver: this host has no loopback interface; nothing can be accepted without it")
	}
	if err := p.readAddresses(); err != nil {
		return nil, err
	}
	return p, p.readRecord()
}

func (p *pass) readAddresses() error {
	addresses, err := p.config.Kernel.Addresses()
	if err != nil {
		return netif.Explain("realserver", err)
	}
	p.all = addresses
	for _, a := range addresses {
		if a.Index == p.loopback.Index || a.Interface == TunnelIPv4 {
			p.there = append(p.there, a)
		}
	}
	return nil
}

// readRecord sets a damaged file aside: serving matters more than going back to old settings.
func (p *pass) readRecord() error {
	var err error
	p.record, err = loadRecord(p.config.RecordPath, p.config.Sysctls.Boot())
	if !errors.Is(err, errRecordDamaged) {
		return err
	}
	aside := p.config.RecordPath + ".damaged"
	p.config.Log.Error(err, "earlier ARP settings cannot be restored; the file is kept for inspection", "file", aside)
	if err := os.Rename(p.config.RecordPath, aside); err != nil {
		return fmt.Errorf("set the damaged record of ARP settings aside: %w", err)
	}
	return nil
}

func (p *pass) audible(all []model.LoopbackVIP) []string { return Audible(p.links, p.all, all) }

// prepare sets the ARP settings of all interfaces that could answer and returns why it could not.
func (p *pass) prepare(all []model.LoopbackVIP) failures {
	failed := failures{facing: map[string]error{}, tunnel: p.prepareTunnels(all)}
	for _, v := range all {
		if link, there := p.links[v.Interface]; !there || link.Loopback {
			failed.facing[v.Interface] = fmt.Errorf("interface %q %w", v.Interface, errNoInterface)
		}
	}
	for _, name := range p.audible(all) {
		err := failed.facing[name]
		if err == nil {
			err = p.prepareInterface(name)
		}
		switch {
		case err == nil:
		case slices.ContainsFunc(all, func(v model.LoopbackVIP) bool { return v.Interface == name }):
			failed.facing[name] = err
		case !mute(err):
			failed.beside = errors.Join(failed.beside, err)
		}
	}
	return failed
}

// failures are reasons why addresses cannot be held.
type failures struct {
	// facing are those of the interfaces that face the director, beside is that of others.
	facing map[string]error
	beside error
	// tunnel are those of tunnel devices.
	tunnel map[string]error
}

// of returns why an address cannot be held, nil if it can. What is missing for ARP does not
// concern IPv6.
func (f failures) of(v model.LoopbackVIP) error {
	if v.Forwarding == model.Tunnel {
		if err := f.tunnel[tunnelName(v.Address)]; err != nil {
			return err
		}
	}
	switch err := f.facing[v.Interface]; {
	case v.Address.Is4() && err == nil:
		return f.beside
	case v.Address.Is4(), errors.Is(err, errNoInterface):
		return err
	}
	return nil
}

func (p *pass) prepareInterface(name string) error {
	link := p.links[name]
	now, err := p.config.Sysctls.Get(link.Index)
	if err != nil {
		return fmt.Errorf("read ARP settings of %s: %w", name, err)
	}
	want := needed(now)
	if err := p.checkHostWide(want); err != nil {
		return err
	}
	if now == want {
		return nil
	}
	if err := p.remember(name, now, want); err != nil {
		return err
	}
	return p.write(link, want)
}

// checkHostWide refuses settings of "all" that the interface's own cannot overrule.
func (p *pass) checkHostWide(want Values) error {
	all, err := p.config.Sysctls.All()
	if err != nil {
		return fmt.Errorf("read the host-wide ARP settings: %w", err)
	}
	got := effective(all, want)
	if !quiet(got.ArpIgnore) {
		return fmt.Errorf("net.ipv4.conf.all.arp_ignore is %d: %w; set it to 0 in /etc/sysctl.d", all.ArpIgnore, errOverruled)
	}
	if got.ArpAnnounce != 2 {
		return fmt.Errorf("net.ipv4.conf.all.arp_announce is %d: %w; set it to 0 in /etc/sysctl.d", all.ArpAnnounce, errOverruled)
	}
	return nil
}

func (p *pass) remember(name string, now, want Values) error {
	old, there := p.record.Interfaces[name]
	next := change{Before: now, Set: want}
	if there {
		next = old.prepared(now, want)
	}
	if there && next == old {
		return nil
	}
	p.record.Interfaces[name] = next
	return p.record.save(p.config.RecordPath)
}

func (p *pass) write(link netif.Link, want Values) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if err := p.config.Sysctls.Set(link.Index, want); err != nil {
		return fmt.Errorf("set arp_ignore=%d, arp_announce=%d and rp_filter=%d on %s: %w", want.ArpIgnore, want.ArpAnnounce, want.RPFilter, link.Name, err)
	}
	got, err := p.config.Sysctls.Get(link.Index)
	if err != nil {
		return fmt.Errorf("read settings of %s back: %w", link.Name, err)
	}
	if got != want {
		return fmt.Errorf("settings of %s are %+v after %+v were set: %w", link.Name, got, want, errUndone)
	}
	return nil
}

func hostPrefix(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }
