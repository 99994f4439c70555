package realserver

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
)

// Names of the devices that take tunnelled packets from any sender: the kernel makes them when it
// loads its modules ipip and ip6_tunnel, unless net.core.fb_tunnels_only_for_init_net forbids it.
const (
	TunnelIPv4 = "tunl0"
	TunnelIPv6 = "ip6tnl0"
)

// rpFilterLoose is the loose source check (RFC 3704 section 2.4): a sender is believed if the host
// has any way to it, and the device has an address. Packets of clients come out of the tunnel although
// the way to the client is another one; 0 would not do, for the kernel obeys the larger of this and
// the host-wide value.
const rpFilterLoose = 2

// Tunnels makes tunnel devices. Errors are or wrap the kernel's syscall.Errno.
type Tunnels interface {
	// AddTunnel makes a device that takes IPIP (RFC 2003) or, with ipv6, IPv6 in IPv6 (RFC 2473)
	// from any sender, and makes the kernel load the module for it; EEXIST if it is there by then.
	AddTunnel(name string, ipv6 bool) error
	// SetUp switches the device with that number on or off.
	SetUp(index int, up bool) error
}

func tunnelName(a netip.Addr) string {
	if a.Is4() {
		return TunnelIPv4
	}
	return TunnelIPv6
}

// tunnelled are the names of the devices that addresses need, ascending.
func tunnelled(all []model.LoopbackVIP) []string {
	var names []string
	for _, v := range all {
		if v.Forwarding == model.Tunnel && holdable(v.Address) {
			names = append(names, tunnelName(v.Address))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// prepareTunnels makes the devices ready and returns, by name, why one is not.
func (p *pass) prepareTunnels(all []model.LoopbackVIP) map[string]error {
	failed := map[string]error{}
	for _, name := range tunnelled(all) {
		if err := p.prepareTunnel(name); err != nil {
			failed[name] = err
		}
	}
	return failed
}

func (p *pass) prepareTunnel(name string) error {
	if err := p.ctx.Err(); err != nil {
		return err
	}
	if p.config.Tunnels == nil {
		return errNoTunnel
	}
	link, err := p.tunnelLink(name)
	if err != nil {
		return err
	}
	if name == TunnelIPv4 {
		if err := p.loosen(link); err != nil {
			return err
		}
	}
	return p.raise(link)
}

// tunnelLink returns the device and makes it first if it is missing.
func (p *pass) tunnelLink(name string) (netif.Link, error) {
	if link, there := p.links[name]; there {
		return link, nil
	}
	if err := p.config.Tunnels.AddTunnel(name, name == TunnelIPv6); err != nil && !errors.Is(err, syscall.EEXIST) {
		return netif.Link{}, fmt.Errorf("make %s: %w: %w", name, errNoTunnel, err)
	}
	links, err := p.config.Kernel.Links()
	if err != nil {
		return netif.Link{}, err
	}
	for _, l := range links {
		p.links[l.Name] = l
	}
	if link, there := p.links[name]; there {
		return link, nil
	}
	return netif.Link{}, fmt.Errorf("make %s: %w", name, errNoTunnel)
}

// loosen sets the source check of an IPv4 tunnel and remembers what it was.
func (p *pass) loosen(link netif.Link) error {
	now, err := p.config.Sysctls.Get(link.Index)
	if err != nil {
		return fmt.Errorf("read the source check of %s: %w", link.Name, err)
	}
	want := now
	want.RPFilter = rpFilterLoose
	if now == want {
		return nil
	}
	if err := p.remember(link.Name, now, want); err != nil {
		return err
	}
	return p.write(link, want)
}

// raise switches a device on that is off, and remembers that.
func (p *pass) raise(link netif.Link) error {
	if link.Up {
		return nil
	}
	if !slices.Contains(p.record.Raised, link.Name) {
		p.record.Raised = append(p.record.Raised, link.Name)
		if err := p.record.save(p.config.RecordPath); err != nil {
			return err
		}
	}
	if err := p.config.Tunnels.SetUp(link.Index, true); err != nil {
		return fmt.Errorf("switch %s on: %w", link.Name, err)
	}
	return nil
}

// lower switches devices off that were switched on here and that no address needs any more.
func (p *pass) lower(all []model.LoopbackVIP) []error {
	needed := tunnelled(all)
	var errs []error
	for _, name := range slices.Clone(p.record.Raised) {
		if slices.Contains(needed, name) {
			continue
		}
		if err := p.lowerOne(name); err != nil {
			errs = append(errs, fmt.Errorf("realserver: switch %s off again: %w%s", name, err, remedy(err)))
		}
	}
	return errs
}

func (p *pass) lowerOne(name string) error {
	if link, there := p.links[name]; there && p.config.Tunnels != nil {
		if err := p.config.Tunnels.SetUp(link.Index, false); err != nil && !errors.Is(err, syscall.ENODEV) {
			return err
		}
	}
	p.record.Raised = slices.DeleteFunc(p.record.Raised, func(n string) bool { return n == name })
	return p.record.save(p.config.RecordPath)
}
