package prove_test

import (
	"strings"
	"testing"
)

// TestProveModulesLoadOnDemand: the agent needs neither CAP_SYS_MODULE nor a mount of /lib/modules.
func TestProveModulesLoadOnDemand(t *testing.T) {
	b := newBench(t, "modules")
	b.onNode("ipvsadm -C 2>/dev/null; modprobe -r ip_vs_wlc ip_vs 2>/dev/null; ! lsmod | grep ip_vs")
	b.apply(b.manifest(daemon{name: "agent", context: agentContext, args: []string{"idle"}}), "agent")
	b.must("agent", "identity")
	got, ok := b.try("agent", "family", "IPVS")
	loaded := b.onNode("lsmod | grep -c '^ip_vs ' || true")
	b.verdict("a1: asking generic netlink for IPVS without ip_vs loaded: allowed=%v %q; ip_vs loaded afterwards: %s", ok, got, loaded)
	if !ok || loaded != "1" {
		t.Error("ip_vs is not loaded on demand")
		b.onNode("modprobe ip_vs")
	}
	if got := b.onNode("lsmod | grep -c ip_vs_wlc || true"); got != "0" {
		t.Fatalf("ip_vs_wlc is loaded beforehand: %s", got)
	}
	b.must("agent", "ipvs-add", "wlc")
	b.verdict("a2: after creating a service with scheduler wlc: %s", b.onNode("lsmod | grep ip_vs_wlc; ipvsadm -Ln | tail -n +4"))
	b.must("agent", "ipvs-delete", "wlc")
	b.verdict("a3: nftables over netlink: %s", b.must("agent", "nft"))
}

// TestProveSysctls: which interface and IPVS settings the agent can reach, and how.
func TestProveSysctls(t *testing.T) {
	b := newBench(t, "sysctls")
	b.onNode("ipvsadm -C 2>/dev/null; modprobe -r ip_vs_wlc ip_vs 2>/dev/null; ip link add probe0 type dummy")
	t.Cleanup(func() { b.onNode("ip link del probe0") })
	b.apply(b.manifest(daemon{
		name: "agent", context: agentContext, args: []string{"idle"}, mounts: []string{"/host/net=/proc/sys/net"},
	}), "agent")
	b.must("agent", "inetconf", "probe0", "1", "2")
	settings := b.onNode("cd /proc/sys/net/ipv4/conf/probe0 && grep . arp_ignore arp_announce | tr '\\n' ' '")
	b.verdict("b1: arp_ignore and arp_announce by rtnetlink: the node now has %s", settings)
	if settings != "arp_ignore:1 arp_announce:2" {
		t.Error("rtnetlink did not set them")
	}
	b.verdict("b2: /proc/sys in the pod: %s", b.mustNot("agent", "write", "/proc/sys/net/ipv4/ip_forward", "1"))
	b.verdict("b3: a hostPath of /proc/sys/net at /host/net: %s", b.must("agent", "write", "/host/net/ipv4/conf/probe0/arp_ignore", "2"))
	if got := b.onNode("cat /proc/sys/net/ipv4/conf/probe0/arp_ignore"); got != "2" {
		t.Errorf("the node has arp_ignore %s, want 2", got)
	}
	b.mustNot("agent", "read", "/host/net/ipv4/vs/expire_quiescent_template")
	b.must("agent", "family", "IPVS")
	b.must("agent", "write", "/host/net/ipv4/vs/expire_quiescent_template", "1")
	if got := b.onNode("cat /proc/sys/net/ipv4/vs/expire_quiescent_template"); got != "1" {
		t.Errorf("the node has expire_quiescent_template %s, want 1", got)
	}
	b.verdict("b4: net.ipv4.vs settings appear and are writable below that mount although ip_vs was loaded after the pod's start")
	b.mustNot("agent", "write", "/host/net/../kernel/panic", "11")
	proveNarrowMount(b)
}

// proveNarrowMount mounts /proc/sys/net/ipv4/vs alone, with the module and without.
func proveNarrowMount(b *bench) {
	b.Helper()
	narrow := daemon{name: "narrow", context: agentContext, args: []string{"idle"}, mounts: []string{"/host/vs=/proc/sys/net/ipv4/vs"}}
	b.apply(b.manifest(narrow), "narrow")
	b.verdict("b5: a hostPath of /proc/sys/net/ipv4/vs, module loaded before: %s", b.must("narrow", "write", "/host/vs/expire_quiescent_template", "0"))
	b.kubectl("delete", "daemonset", "narrow", "--wait=true", "--cascade=foreground")
	b.onNode("modprobe -r ip_vs")
	if err := b.c.Apply(b.ctx, b.manifest(narrow)); err != nil {
		b.Fatal(err)
	}
	events := ""
	b.wait("an event of the pod that shows how it started", func() bool {
		events = b.kubectl("get", "events", "-o", `jsonpath={range .items[*]}{.type} {.reason} {.message}{"\n"}{end}`)
		return strings.Contains(events, "mkdir /proc/sys/net/ipv4/vs") || strings.Contains(events, "/proc/sys/net/ipv4/vs")
	})
	for line := range strings.Lines(events) {
		if strings.Contains(line, "/proc/sys/net/ipv4/vs") {
			b.verdict("b6: the same, module not loaded: %s", strings.TrimSpace(line))
			return
		}
	}
}
