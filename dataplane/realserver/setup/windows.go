package setup

import (
	"fmt"
	"strings"

	"github.com/truepacs/balancer/dataplane/model"
)

const windowsIntroduction = `# Prepares this Windows server to receive traffic of the PACS load balancer.
#
# NOT YET TESTED ON WINDOWS: this script was written for Windows Server 2019 and later, but neither a
# Windows nor a PowerShell was at hand to run it. Try it on a server that is not in use first.
#
# Why: the load balancer passes packets on without changing the address in them, so this server must
# accept packets to the virtual address(es) below. It must never answer when somebody asks the
# network who has such an address; addresses of a loopback adapter are not answered for.
#
#   powershell -ExecutionPolicy Bypass -File this-file.ps1 -Check     says what is right and wrong
#   powershell -ExecutionPolicy Bypass -File this-file.ps1 -Apply     does it; may be run again
#   powershell -ExecutionPolicy Bypass -File this-file.ps1 -Remove    takes everything back
#
# If the PACS cannot be reached after -Apply: run -Remove, then -Check. It changes: one loopback
# adapter with the virtual addresses, the weak host model of that and of your network adapter, and
# the firewall rules of the group truepacs-loopback.
param([switch]$Apply, [switch]$Remove, [switch]$Check)
$ErrorActionPreference = 'Stop'

`

// windowsRemoval begins the script that only removes.
const windowsRemoval = `# Takes back what the script of the PACS load balancer did on this Windows server.
#
# NOT YET TESTED ON WINDOWS: neither a Windows nor a PowerShell was at hand to run it.
#
#   powershell -ExecutionPolicy Bypass -File this-file.ps1
param([switch]$Apply, [switch]$Remove, [switch]$Check)
$ErrorActionPreference = 'Stop'
$Apply = $false
$Check = $false
$Remove = $true

$FacingAdapter = ''
$Vips = @()

`

func windowsHead(s Spec) string {
	var b strings.Builder
	b.WriteString(windowsIntroduction)
	b.WriteString("# The adapter that faces the load balancer; empty: that of the default route.\n")
	facing := ""
	if len(s.Interfaces) > 0 {
		facing = s.Interfaces[0]
	}
	fmt.Fprintf(&b, "$FacingAdapter = '%s'\n", facing)
	b.WriteString("$Vips = @(\n")
	for i, v := range s.VIPs {
		fmt.Fprintf(&b, "    @{ Address = '%s'; Rules = @(\n", v.Address)
		b.WriteString(strings.Join(v.firewallRules(), ",\n"))
		b.WriteString("\n    ) }")
		if i < len(s.VIPs)-1 {
			b.WriteString(",")
		}
		b.WriteString("\n")
	}
	b.WriteString(")\n\n")
	return b.String()
}

func (v VIP) firewallRules() []string {
	rule := func(action string, protocol model.Protocol, ports []string) string {
		return fmt.Sprintf("        @{ Action = '%s'; Protocol = '%s'; Ports = @('%s') }", action, protocol, strings.Join(ports, "', '"))
	}
	var rules []string
	for _, protocol := range []model.Protocol{model.TCP, model.UDP} {
		if ports := v.of(protocol); len(ports) > 0 {
			rules = append(rules, rule("Allow", protocol, ports))
		}
		if others := v.others(protocol); len(others) > 0 {
			rules = append(rules, rule("Block", protocol, others))
		}
	}
	return rules
}

// others returns the ports of a protocol that are not declared, as few ranges as possible.
func (v VIP) others(protocol model.Protocol) []string {
	var texts []string
	next := 1
	gap := func(end int) {
		if next <= end {
			texts = append(texts, Ports{protocol, uint16(next), uint16(end)}.text())
		}
	}
	for _, p := range v.merged(protocol) {
		gap(int(p.First) - 1)
		next = int(p.Last) + 1
	}
	gap(65535)
	return texts
}
