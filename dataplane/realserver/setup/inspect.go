package setup

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/model"
)

// Severity says what a Finding means.
type Severity string

// Severities.
const (
	// Broken: the service does not work, or takes clients away from the director.
	Broken Severity = "Broken"
	// Doubtful: it works now, or for some clients.
	Doubtful Severity = "Doubtful"
)

// Kinds of findings, stable names for conditions and tests.
const (
	VIPMissing       = "VIPMissing"
	VIPAnswersARP    = "VIPAnswersARP"
	VIPOnInterface   = "VIPOnInterface"
	VIPUsedAsSource  = "VIPUsedAsSource"
	ARPAnnounces     = "ARPAnnounces"
	StrictRPFilter   = "StrictRPFilter"
	NobodyListens    = "NobodyListens"
	MTUMismatch      = "MTUMismatch"
	NothingToInspect = "NothingToInspect"
)

// Finding is one thing that is not as it has to be.
type Finding struct {
	// Kind is one of the constants above.
	Kind string
	// Severity says how bad it is.
	Severity Severity
	// Subject is what it is about: an address, an interface, an address with port.
	Subject string
	// Message says in plain words what is wrong, and Remedy what to do.
	Message, Remedy string
}

// Address is an address of an interface of the inspected host.
type Address struct {
	Interface string
	Prefix    netip.Prefix
	// Deprecated: an IPv6 address that is not chosen as source.
	Deprecated bool
}

// Interface is an interface of the inspected host with the settings that the kernel obeys: the
// larger one of the interface's and of "all" (IN_DEV_MAXCONF, linux/inetdevice.h).
type Interface struct {
	Name string
	MTU  int
	// Audible tells whether the directors' segment could hear it.
	Audible bool
	// ARPIgnore, ARPAnnounce and RPFilter are the effective settings.
	ARPIgnore, ARPAnnounce, RPFilter int
}

// Socket is one on which the host waits for clients.
type Socket struct {
	Protocol model.Protocol
	// Address is the unspecified address for all of a family; IPv6's stands for IPv4 too unless
	// OnlyIPv6.
	Address  netip.Addr
	Port     uint16
	OnlyIPv6 bool
}

// Host is what an inspection looks at.
type Host struct {
	Interfaces []Interface
	Addresses  []Address
	Sockets    []Socket
}

// Reader reads a host.
type Reader interface {
	// Read returns the host as it is; named are interfaces that count as audible.
	Read(ctx context.Context, named []string) (Host, error)
}

// Inspect tells what on a host is not as a real server of the Spec has to be; nothing: all is
// well. It reads only. The result is in a fixed order.
func Inspect(ctx context.Context, spec Spec, reader Reader) ([]Finding, error) {
	if err := spec.check(Linux); err != nil {
		return nil, fmt.Errorf("setup: %w", err)
	}
	host, err := reader.Read(ctx, spec.Interfaces)
	if err != nil {
		return nil, fmt.Errorf("setup: read this host: %w", err)
	}
	return judge(spec, host), nil
}

// judge is Inspect without reading.
func judge(spec Spec, host Host) []Finding {
	var found []Finding
	for _, v := range spec.VIPs {
		found = append(found, judgeAddress(spec.method(), v.Address, host)...)
		for _, p := range v.Ports {
			found = append(found, judgePorts(spec.method(), v.Address, p, host)...)
		}
	}
	found = append(found, judgeInterfaces(spec, host)...)
	if spec.method() == Tunnel {
		found = append(found, judgeTunnel(host)...)
	}
	return found
}

// device is the interface that holds the addresses of a method.
func device(m Method) string {
	if m == Tunnel {
		return "tunl0"
	}
	return "lo"
}

func judgeAddress(m Method, vip netip.Addr, host Host) []Finding {
	var found []Finding
	there := false
	for _, a := range host.Addresses {
		switch {
		case a.Prefix.Addr() != vip:
		case m != Redirect && a.Interface == device(m):
			there = true
			if vip.Is6() && !a.Deprecated {
				found = append(found, Finding{VIPUsedAsSource, Doubtful, vip.String(),
					fmt.Sprintf("%s may be the source of this server's own connections, whose answers go to the load balancer", vip),
					fmt.Sprintf("ip address change %s dev %s preferred_lft 0", a.Prefix, a.Interface)})
			}
		default:
			found = append(found, Finding{VIPOnInterface, Broken, vip.String(),
				fmt.Sprintf("%s is on %s, so this server answers for it and takes clients away from the load balancer", vip, a.Interface),
				fmt.Sprintf("ip address del %s dev %s; then run realserver-setup's script", a.Prefix, a.Interface)})
		}
	}
	if !there && m != Redirect {
		found = append(found, Finding{VIPMissing, Broken, vip.String(),
			fmt.Sprintf("%s is not on %s, so packets for it are thrown away", vip, device(m)),
			"run the script of realserver-setup with --apply"})
	}
	return found
}

// judgePorts looks for a socket of each port; of a range one is enough, for who knows which of them
// are in use. A redirected packet reaches the host's own addresses.
func judgePorts(m Method, vip netip.Addr, p Ports, host Host) []Finding {
	reached := []netip.Addr{vip}
	for _, a := range host.Addresses {
		if m == Redirect && a.Prefix.Addr().Is6() == vip.Is6() {
			reached = append(reached, a.Prefix.Addr())
		}
	}
	for _, a := range reached {
		if slices.ContainsFunc(host.Sockets, func(s Socket) bool { return s.serves(a, p) }) {
			return nil
		}
	}
	subject := fmt.Sprintf("%s port %s/%s", vip, p.text(), p.Protocol)
	return []Finding{{NobodyListens, Broken, subject,
		fmt.Sprintf("no program of this server waits for clients at %s", subject),
		"start the PACS, and let it listen on all addresses (0.0.0.0 and ::) or on the virtual one"}}
}

func (s Socket) serves(vip netip.Addr, p Ports) bool {
	if s.Protocol != p.Protocol || s.Port < p.First || s.Port > max(p.First, p.Last) {
		return false
	}
	return s.Address == vip || s.Address.IsUnspecified() && (s.Address.Is6() == vip.Is6() || vip.Is4() && !s.OnlyIPv6)
}

// judgeInterfaces looks at what ARP and the MTU say of interfaces that the director's segment
// could hear. Redirect needs no silence, for there is no address to be silent about; IPv6 neither.
func judgeInterfaces(spec Spec, host Host) []Finding {
	var found []Finding
	audible := 0
	for _, i := range host.Interfaces {
		if !i.Audible {
			continue
		}
		audible++
		if len(spec.addresses(false)) > 0 && spec.method() != Redirect {
			found = append(found, judgeARP(i)...)
		}
		if spec.MTU != 0 && spec.method() != Tunnel && i.MTU != spec.MTU {
			found = append(found, Finding{MTUMismatch, Doubtful, i.Name,
				fmt.Sprintf("the MTU of %s is %d, that of the director's side %d: large packets one way are lost", i.Name, i.MTU, spec.MTU),
				fmt.Sprintf("give both the same: ip link set %s mtu %d, and in the network's configuration", i.Name, spec.MTU)})
		}
	}
	if audible == 0 {
		found = append(found, Finding{NothingToInspect, Broken, "interfaces",
			"none of this server's interfaces leads to the director", "name the interface that faces the director"})
	}
	return found
}

func judgeARP(i Interface) []Finding {
	var found []Finding
	if !slices.Contains([]int{1, 2, 3, 8}, i.ARPIgnore) {
		found = append(found, Finding{VIPAnswersARP, Broken, i.Name,
			fmt.Sprintf("%s answers ARP for the virtual addresses (arp_ignore is %d) and takes clients away from the load balancer", i.Name, i.ARPIgnore),
			fmt.Sprintf("run the script of realserver-setup with --apply, or: sysctl -w net.ipv4.conf.%s.arp_ignore=1", i.Name)})
	}
	if i.ARPAnnounce != 2 {
		found = append(found, Finding{ARPAnnounces, Broken, i.Name,
			fmt.Sprintf("%s tells its neighbours the virtual addresses when it asks for theirs (arp_announce is %d)", i.Name, i.ARPAnnounce),
			fmt.Sprintf("run the script of realserver-setup with --apply, or: sysctl -w net.ipv4.conf.%s.arp_announce=2", i.Name)})
	}
	return found
}

func judgeTunnel(host Host) []Finding {
	at := slices.IndexFunc(host.Interfaces, func(i Interface) bool { return i.Name == "tunl0" })
	if at < 0 || host.Interfaces[at].RPFilter != 1 {
		return nil
	}
	return []Finding{{StrictRPFilter, Broken, "tunl0",
		"rp_filter of tunl0 is strict, so what comes out of the tunnel is thrown away",
		"sysctl -w net.ipv4.conf.tunl0.rp_filter=2 (0 is not enough where net.ipv4.conf.all.rp_filter is 1)"}}
}
