package setup

import (
	_ "embed"
	"fmt"
	"strings"

	"github.com/truepacs/balancer/dataplane/model"
)

// OS is the operating system of a real server.
type OS string

// Operating systems.
const (
	Linux   OS = "linux"
	Windows OS = "windows"
)

//go:embed linux.sh
var linuxBody string

//go:embed windows.ps1
var windowsBody string

// Script returns the script that prepares a server of that system, for its administrator to read
// and run. It can be run again at any time and takes everything back when asked to. The same Spec
// gives the same text. The error says what about the Spec cannot be.
func Script(system OS, spec Spec) (string, error) {
	if system != Linux && system != Windows {
		return "", fmt.Errorf("setup: no script for %q: write linux or windows", system)
	}
	if err := spec.check(system); err != nil {
		return "", fmt.Errorf("setup: %w", err)
	}
	if system == Windows {
		return windowsHead(spec) + windowsBody, nil
	}
	return linuxHead(spec) + linuxBody, nil
}

// Removal returns the script that takes back what any script of that system has done, whatever it
// was for: it does so when it is run without anything behind its name.
func Removal(system OS) (string, error) {
	switch system {
	case Linux:
		return fmt.Sprintf(linuxIntroduction, "nothing but what an earlier script did") + linuxVariables(Spec{}, "--remove") + linuxBody, nil
	case Windows:
		return windowsRemoval + windowsBody, nil
	}
	return "", fmt.Errorf("setup: no script for %q: write linux or windows", system)
}

const linuxIntroduction = `#!/bin/sh
# Prepares this Linux server to receive traffic of the PACS load balancer.
#
# Why: the load balancer passes packets on without changing the address in them, so this server must
# accept packets to the virtual address(es) below. It must never answer when somebody asks the
# network who has such an address: it would take the clients away from the load balancer.
#
#   sh this-file --check     says what is right and what is wrong; changes nothing
#   sh this-file --apply     does it, now, after every reboot and after somebody undid it; may be
#                            run again at any time
#   sh this-file --remove    takes everything back
#
# If the PACS cannot be reached after --apply: run --remove, then --check, and look at the lines
# that begin with BAD. It changes: %s.
# It never touches settings of all interfaces (net.ipv4.conf.all), which would reach further than
# the load balancing.
set -u
export LC_ALL=C

`

func linuxHead(s Spec) string {
	var b strings.Builder
	fmt.Fprintf(&b, linuxIntroduction, changesOf(s.method()))
	b.WriteString(linuxVariables(s, ""))
	return b.String()
}

// linuxVariables are what the body reads. act is what is done if nothing is asked for.
func linuxVariables(s Spec, act string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "ACT='%s'\n", act)
	fmt.Fprintf(&b, "METHOD=%s\n", strings.ToLower(string(s.method())))
	fmt.Fprintf(&b, "VIPS4='%s'\n", strings.Join(s.addresses(false), " "))
	fmt.Fprintf(&b, "VIPS6='%s'\n", strings.Join(s.addresses(true), " "))
	b.WriteString("# Interfaces to silence; empty: all network cards, bonds and VLANs.\n")
	fmt.Fprintf(&b, "INTERFACES='%s'\n", strings.Join(s.Interfaces, " "))
	fmt.Fprintf(&b, "RULES='%s'\n\n", strings.TrimSuffix(rules(s), "\n"))
	return b.String()
}

func changesOf(m Method) string {
	switch m {
	case Redirect:
		return "one table of the firewall (nft list ruleset shows it)"
	case Tunnel:
		return "arp_ignore and arp_announce of the network cards, the interfaces tunl0\n# and ip6tnl0, one address on tunl0 (IPv6: on lo) for each virtual address, one table of the firewall"
	default:
		return "arp_ignore and arp_announce of the network cards, one address on lo\n# for each virtual address, one table of the firewall"
	}
}

// rules returns what nft reads. Only declared ports and ICMP answer on a virtual address, but for
// this server's own programs. IPv6 joins fragments behind the filter, so later ones, which have no
// port, pass: without a first one they are thrown away.
func rules(s Spec) string {
	if len(s.VIPs) == 0 {
		return ""
	}
	if s.method() == Redirect {
		return redirectTable(s, "ip", false) + redirectTable(s, "ip6", true)
	}
	var b strings.Builder
	b.WriteString(fresh("inet") + "table inet truepacs_realserver {\n\tchain input {\n\t\ttype filter hook input priority -5; policy accept;\n")
	b.WriteString("\t\tiifname \"lo\" accept\n")
	for _, v := range s.VIPs {
		family, icmp := familyOf(v)
		fmt.Fprintf(&b, "\t\t%s daddr %s meta l4proto %s accept\n", family, v.Address, icmp)
		if v.Address.Is6() {
			fmt.Fprintf(&b, "\t\tip6 daddr %s frag frag-off != 0 accept\n", v.Address)
		}
		v.eachProtocol(func(protocol, ports string) {
			fmt.Fprintf(&b, "\t\t%s daddr %s %s dport { %s } accept\n", family, v.Address, protocol, ports)
		})
		fmt.Fprintf(&b, "\t\t%s daddr %s counter drop\n", family, v.Address)
	}
	b.WriteString("\t}\n")
	if s.method() == Tunnel {
		b.WriteString("\tchain output {\n\t\ttype filter hook output priority -150; policy accept;\n")
		for _, v := range s.VIPs {
			family, _ := familyOf(v)
			fmt.Fprintf(&b, "\t\t%s saddr %s tcp flags & (syn | ack) == (syn | ack) tcp option maxseg size set %d\n",
				family, v.Address, s.segment(v.Address.Is6()))
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// fresh are the commands that empty a table, whether it is there or not; nft takes all in one step.
func fresh(family string) string {
	return fmt.Sprintf("table %s truepacs_realserver\ndelete table %s truepacs_realserver\n", family, family)
}

// redirectTable sends declared ports to the server's own address. What is left for a virtual
// address is thrown away, lest a server that forwards sends it back to the director.
func redirectTable(s Spec, family string, ipv6 bool) string {
	if len(s.addresses(ipv6)) == 0 {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%stable %s truepacs_realserver {\n\tchain prerouting {\n\t\ttype nat hook prerouting priority -100; policy accept;\n", fresh(family), family)
	for _, v := range s.VIPs {
		if v.Address.Is6() != ipv6 {
			continue
		}
		v.eachProtocol(func(protocol, ports string) {
			fmt.Fprintf(&b, "\t\t%s daddr %s %s dport { %s } redirect\n", family, v.Address, protocol, ports)
		})
	}
	b.WriteString("\t}\n\tchain others {\n\t\ttype filter hook prerouting priority -90; policy accept;\n")
	fmt.Fprintf(&b, "\t\t%s daddr { %s } counter drop\n\t}\n}\n", family, strings.Join(s.addresses(ipv6), ", "))
	return b.String()
}

func familyOf(v VIP) (family, icmp string) {
	if v.Address.Is6() {
		return "ip6", "ipv6-icmp"
	}
	return "ip", "icmp"
}

// eachProtocol calls f with each protocol that has ports, as nft writes them.
func (v VIP) eachProtocol(f func(protocol, ports string)) {
	for _, protocol := range []model.Protocol{model.TCP, model.UDP} {
		if ports := v.of(protocol); len(ports) > 0 {
			f(strings.ToLower(string(protocol)), strings.Join(ports, ", "))
		}
	}
}
