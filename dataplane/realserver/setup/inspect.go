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
	VIPMissing            = "VIPMissing"
	VIPAnswersARP         = "VIPAnswersARP"
	VIPOnInterface        = "VIPOnInterface"
	VIPUsedAsSource       = "VIPUsedAsSource"
	VIPNotRedirected      = "VIPNotRedirected"
	ARPAnnounces          = "ARPAnnounces"
	NoTunnel              = "NoTunnel"
	StrictRPFilter        = "StrictRPFilter"
	NobodyListens         = "NobodyListens"
	PortSilent            = "PortSilent"
	UndeclaredPortsAnswer = "UndeclaredPortsAnswer"
	FirewallUnreadable    = "FirewallUnreadable"
	NotAfterReboot        = "NotAfterReboot"
	MTUMismatch           = "MTUMismatch"
	NothingToInspect      = "NothingToInspect"
)

// Finding is one thing that is not as it has to be.
type Finding struct {
	// Kind is one of the constants above.
	Kind string `json:"kind"`
	// Severity says how bad it is.
	Severity Severity `json:"severity"`
	// Subject is what it is about: an address, an interface, an address with port.
	Subject string `json:"subject"`
	// Message says in plain words what is wrong, and Remedy what to do.
	Message string `json:"message"`
	Remedy  string `json:"remedy"`
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
	// Up tells whether the administrator has switched it on.
	Up bool
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

// Firewall is what nftables does for virtual addresses, by the script's hand or the agent's.
type Firewall struct {
	// Unreadable says why it could not be read; empty: it was.
	Unreadable string
	// Guarded are the addresses of which only declared ports answer, Redirected those whose
	// declared ports are sent to the host's own address.
	Guarded, Redirected []netip.Addr
	// ByAgent tells whether the agent runs here, which needs no unit of the script.
	ByAgent bool
}

// Host is what an inspection looks at.
type Host struct {
	Interfaces []Interface
	Addresses  []Address
	Sockets    []Socket
	Firewall   Firewall
	// AfterReboot tells whether systemd starts the script again.
	AfterReboot bool
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
		found = append(found, judgeFirewall(spec.method(), v.Address, host)...)
		for _, p := range v.Ports {
			found = append(found, judgePorts(spec.method(), v.Address, p, host)...)
		}
	}
	found = append(found, judgeInterfaces(spec, host)...)
	if spec.method() == Tunnel {
		found = append(found, judgeTunnels(spec, host)...)
	}
	if host.Firewall.Unreadable != "" {
		found = append(found, Finding{FirewallUnreadable, Doubtful, "nftables",
			"the firewall could not be read, so nothing is said about it: " + host.Firewall.Unreadable, "run this as root"})
	}
	return append(found, judgeReboot(host)...)
}

// mend is what prepares a host again.
func mend(host Host) string {
	switch {
	case host.Firewall.ByAgent:
		return "the agent of this host prepares it: look at truepacs status, and that truepacs runs (systemctl restart truepacs)"
	case host.AfterReboot:
		return "sh /usr/local/sbin/truepacs-realserver --apply; for other addresses or ports than before, the script that realserver-setup prints now"
	}
	return "run the script that truepacs realserver-setup prints: sh realserver.sh --apply"
}

// judgeReboot: an agent prepares its host itself whenever it starts.
func judgeReboot(host Host) []Finding {
	if host.AfterReboot || host.Firewall.ByAgent {
		return nil
	}
	return []Finding{{NotAfterReboot, Doubtful, "truepacs-realserver.service",
		"the server is not prepared again after a reboot",
		"systemctl enable --now truepacs-realserver.service truepacs-realserver.timer; if there is no such unit, " + mend(host)}}
}

func judgeFirewall(m Method, vip netip.Addr, host Host) []Finding {
	f := host.Firewall
	switch {
	case f.Unreadable != "":
		return nil
	case m == Redirect && !slices.Contains(f.Redirected, vip):
		return []Finding{{VIPNotRedirected, Broken, vip.String(),
			fmt.Sprintf("packets for %s are not redirected to this server's own address, so they are thrown away", vip), mend(host)}}
	case m != Redirect && !slices.Contains(f.Guarded, vip):
		return []Finding{{UndeclaredPortsAnswer, Doubtful, vip.String(),
			fmt.Sprintf("every program of this server that listens on all addresses answers on %s, not only the declared ports", vip), mend(host)}}
	}
	return nil
}

// home is the interface that must have an address. Packets that come out of tunl0 are thrown away
// while it has no address, unless nothing filters by reverse path (__fib_validate_source,
// net/ipv4/fib_frontend.c); IPv6 has no such filter.
func home(m Method, vip netip.Addr) string {
	switch {
	case m == Redirect:
		return ""
	case m == Tunnel && vip.Is4():
		return "tunl0"
	}
	return "lo"
}

// harmless tells whether an address may be on an interface beside its home: a host does not answer for
// what lo and tunnels have.
func harmless(m Method, name string) bool {
	return m != Redirect && slices.Contains([]string{"lo", "tunl0", "ip6tnl0"}, name)
}

func judgeAddress(m Method, vip netip.Addr, host Host) []Finding {
	var found []Finding
	there := false
	for _, a := range host.Addresses {
		switch {
		case a.Prefix.Addr() != vip:
		case harmless(m, a.Interface):
			// An agent may have IPv6 on the tunnel's.
			there = there || a.Interface == home(m, vip) || vip.Is6()
			if vip.Is6() && !a.Deprecated {
				found = append(found, Finding{VIPUsedAsSource, Doubtful, vip.String(),
					fmt.Sprintf("%s may be the source of this server's own connections, whose answers go to the load balancer", vip),
					fmt.Sprintf("ip address change %s dev %s preferred_lft 0", a.Prefix, a.Interface)})
			}
		default:
			found = append(found, Finding{VIPOnInterface, Broken, vip.String(),
				fmt.Sprintf("%s is on %s, so this server answers for it and takes clients away from the load balancer", vip, a.Interface),
				fmt.Sprintf("ip address del %s dev %s; and take it out of that interface's configuration", a.Prefix, a.Interface)})
		}
	}
	if !there && m != Redirect {
		found = append(found, Finding{VIPMissing, Broken, vip.String(),
			fmt.Sprintf("%s is not on %s, so packets for it are thrown away", vip, home(m, vip)),
			mend(host) + "; until the next reboot also: " + addCommand(vip, home(m, vip))})
	}
	return found
}

// addCommand is what adds an address as the script does.
func addCommand(vip netip.Addr, device string) string {
	if vip.Is6() {
		return fmt.Sprintf("ip address add %s/128 dev %s nodad preferred_lft 0 noprefixroute", vip, device)
	}
	return fmt.Sprintf("ip address add %s/32 dev %s scope host", vip, device)
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
			found = append(found, judgeARP(i, mend(host))...)
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

func judgeARP(i Interface, mend string) []Finding {
	var found []Finding
	if !slices.Contains([]int{1, 2, 3, 8}, i.ARPIgnore) {
		found = append(found, Finding{VIPAnswersARP, Broken, i.Name,
			fmt.Sprintf("%s answers ARP for the virtual addresses (arp_ignore is %d) and takes clients away from the load balancer", i.Name, i.ARPIgnore),
			fmt.Sprintf("%s; until the next reboot also: sysctl -w net.ipv4.conf.%s.arp_ignore=1", mend, i.Name)})
	}
	if i.ARPAnnounce != 2 {
		found = append(found, Finding{ARPAnnounces, Broken, i.Name,
			fmt.Sprintf("%s tells its neighbours the virtual addresses when it asks for theirs (arp_announce is %d)", i.Name, i.ARPAnnounce),
			fmt.Sprintf("%s; until the next reboot also: sysctl -w net.ipv4.conf.%s.arp_announce=2", mend, i.Name)})
	}
	return found
}

// judgeTunnels looks at the interfaces that unpack what comes through a tunnel.
func judgeTunnels(spec Spec, host Host) []Finding {
	var found []Finding
	for _, t := range []struct {
		name, module string
		ipv6         bool
	}{{"tunl0", "ipip", false}, {"ip6tnl0", "ip6_tunnel", true}} {
		if len(spec.addresses(t.ipv6)) == 0 {
			continue
		}
		at := slices.IndexFunc(host.Interfaces, func(i Interface) bool { return i.Name == t.name })
		switch {
		case at < 0 || !host.Interfaces[at].Up:
			found = append(found, Finding{NoTunnel, Broken, t.name,
				fmt.Sprintf("there is no interface %s, or it is down: what comes through the tunnel is thrown away", t.name),
				fmt.Sprintf("modprobe %s; ip link set %s up", t.module, t.name)})
		case !t.ipv6 && host.Interfaces[at].RPFilter == 1:
			found = append(found, Finding{StrictRPFilter, Broken, t.name,
				"rp_filter of tunl0 is strict, so what comes out of the tunnel is thrown away",
				"sysctl -w net.ipv4.conf.tunl0.rp_filter=2 (0 is not enough where net.ipv4.conf.all.rp_filter is 1)"})
		}
	}
	return found
}
