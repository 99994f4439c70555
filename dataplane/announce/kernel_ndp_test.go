package announce_test

import (
	"bufio"
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// segment is the test's host with tp0 and another host with eth0 on one cable; both have IPv4 and
// IPv6 addresses.
func segment(t *testing.T) *netnstest.Far {
	t.Helper()
	netnstest.Enter(t)
	far := netnstest.NewFar(t)
	far.Cable(t, "tp0", "eth0")
	netnstest.Run(t, "ip", "link", "set", "tp0", "address", "02:00:00:00:00:01")
	far.Run(t, "ip", "link", "set", "eth0", "address", "02:00:00:00:00:99")
	for _, a := range []string{"192.0.2.2/24", "2001:db8::2/64", "fe80::2/64"} {
		netnstest.Run(t, "ip", "address", "add", a, "dev", "tp0", "nodad")
	}
	for _, a := range []string{"192.0.2.11/24", "2001:db8::11/64", "fe80::11/64"} {
		far.Run(t, "ip", "address", "add", a, "dev", "eth0", "nodad")
	}
	return far
}

// witness is tcpdump at the other host's end.
type witness struct {
	lines *bufio.Scanner
}

// watch starts tcpdump and returns when it listens.
func watch(t *testing.T, far *netnstest.Far, filter string) witness {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	cmd := exec.CommandContext(ctx, "tcpdump", "-i", "eth0", "-Z", "root", "--immediate-mode", "-l", "-n", "-e", "-t", "-vv", filter)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	far.Do(func() { err = cmd.Start() })
	if err != nil {
		t.Fatalf("tcpdump: %v", err)
	}
	t.Cleanup(func() { cancel(); _ = cmd.Wait() })
	errors := bufio.NewScanner(said)
	for errors.Scan() {
		if strings.Contains(errors.Text(), "listening on") {
			return witness{lines: bufio.NewScanner(out)}
		}
	}
	t.Fatal("tcpdump does not listen")
	return witness{}
}

// next returns tcpdump's words about one packet with all the words asked for; others are passed over.
func (w witness) next(t *testing.T, words ...string) string {
	t.Helper()
	var seen []string
	packet := ""
	for w.lines.Scan() {
		if strings.HasPrefix(w.lines.Text(), "\t") || strings.HasPrefix(w.lines.Text(), " ") {
			packet += w.lines.Text()
		} else {
			packet = w.lines.Text()
		}
		seen = append(seen, w.lines.Text())
		if containsAll(packet, words) {
			return packet
		}
	}
	t.Fatalf("tcpdump saw no packet with %q, but\n%s", words, strings.Join(seen, "\n"))
	return ""
}

func containsAll(s string, words []string) bool {
	for _, word := range words {
		if !strings.Contains(s, word) {
			return false
		}
	}
	return true
}

// TestTcpdumpReadsOurNeighbors has tcpdump as the witness of form and checksum, and the other
// kernel as the witness of the effect: it has another MAC for the address and takes ours.
func TestTcpdumpReadsOurNeighbors(t *testing.T) {
	far := segment(t)
	far.Run(t, "ip", "neigh", "add", "2001:db8::100", "lladdr", "02:00:00:00:00:55", "dev", "eth0", "nud", "stale")
	w := watch(t, far, "icmp6")
	schedule := announce.Schedule{Burst: []time.Duration{0, 10 * time.Millisecond}, Retry: time.Second}
	a := announce.New(announce.Config{Network: announce.Sockets{}, Schedule: schedule})
	defer a.Close()
	if err := a.Set(t.Context(), []model.VirtualIP{vip("2001:db8::100", "tp0")}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.next(t, "02:00:00:00:00:01 > 33:33:00:00:00:01", "2001:db8::100 > ff02::1", "hlim 255", "[icmp6 sum ok]",
			"neighbor advertisement", "tgt is 2001:db8::100, Flags [override]", "destination link-address option (2), length 8 (1): 02:00:00:00:00:01")
	}
	if got := far.Run(t, "ip", "neigh", "show", "2001:db8::100"); !strings.Contains(got, "02:00:00:00:00:01") {
		t.Errorf("the other host's neighbour is still %q", got)
	}
	prober := announce.Prober{Network: announce.Sockets{}, Count: 1, Interval: time.Millisecond}
	if _, err := prober.Probe(t.Context(), "tp0", netip.MustParseAddr("2001:db8::77")); err != nil {
		t.Fatal(err)
	}
	w.next(t, "33:33:ff:00:00:77", ":: > ff02::1:ff00:77", "[icmp6 sum ok]", "neighbor solicitation, length 24, who has 2001:db8::77")
	if _, err := prober.Holders(t.Context(), "tp0", netip.MustParseAddr("2001:db8::78")); err != nil {
		t.Fatal(err)
	}
	w.next(t, "33:33:ff:00:00:78", "fe80::2 > ff02::1:ff00:78", "[icmp6 sum ok]", "who has 2001:db8::78",
		"source link-address option (1), length 8 (1): 02:00:00:00:00:01")
}

// TestHoldersOnTheWire: the test's host holds the addresses itself, as a director does, and
// another host has them too. No neighbour entry is made and the other's answer reaches us alone.
func TestHoldersOnTheWire(t *testing.T) {
	far := segment(t)
	prober := announce.Prober{Network: announce.Sockets{}, Count: 2, Interval: 100 * time.Millisecond}
	for _, a := range []string{"192.0.2.100/32", "2001:db8::100/128"} {
		address := netip.MustParsePrefix(a).Addr()
		netnstest.Run(t, "ip", "address", "add", a, "dev", "tp0", "nodad")
		if macs, err := prober.Holders(t.Context(), "tp0", address); err != nil || len(macs) != 0 {
			t.Errorf("%s that only this host has: %v, %v", a, macs, err)
		}
		far.Run(t, "ip", "address", "add", a, "dev", "eth0", "nodad")
		w := watch(t, far, "arp or icmp6")
		long := prober
		long.Interval = 5 * time.Second // the answer ends Resolve before that
		mac, err := long.Resolve(t.Context(), "tp0", address)
		if err != nil || mac.String() != "02:00:00:00:00:99" {
			t.Errorf("%s: resolved to %v, %v", a, mac, err)
		}
		w.next(t, "02:00:00:00:00:99 > 02:00:00:00:00:01", address.String()) // and to nobody else
		macs, err := prober.Holders(t.Context(), "tp0", address)
		if err != nil || fmt.Sprint(macs) != "[02:00:00:00:00:99]" {
			t.Errorf("%s that two hosts have: %v, %v", a, macs, err)
		}
		if got := netnstest.Run(t, "ip", "neigh", "show", address.String()); got != "" {
			t.Errorf("the kernel has an entry now: %q", got)
		}
	}
}

// TestResolveOnTheWire asks for a server that the kernel knows nothing of.
func TestResolveOnTheWire(t *testing.T) {
	segment(t)
	prober := announce.Prober{Network: announce.Sockets{}, Interval: 5 * time.Second}
	for _, a := range []string{"192.0.2.11", "2001:db8::11"} {
		mac, err := prober.Resolve(t.Context(), "tp0", netip.MustParseAddr(a))
		if err != nil || mac.String() != "02:00:00:00:00:99" {
			t.Errorf("%s: %v, %v", a, mac, err)
		}
		if got := netnstest.Run(t, "ip", "neigh", "show", a); got != "" {
			t.Errorf("the kernel has an entry now: %q", got)
		}
	}
}

// TestProbeOfIPv6OnTheWire asks a kernel that has the address.
func TestProbeOfIPv6OnTheWire(t *testing.T) {
	far := segment(t)
	far.Run(t, "ip", "address", "add", "2001:db8::100/128", "dev", "eth0", "nodad")
	prober := announce.Prober{Network: announce.Sockets{}, Interval: 5 * time.Second}
	mac, err := prober.Probe(t.Context(), "tp0", netip.MustParseAddr("2001:db8::100"))
	if err != nil || mac.String() != "02:00:00:00:00:99" {
		t.Errorf("got %v, %v", mac, err)
	}
}

// TestRouterFlagOfTheKernel follows the sysctl.
func TestRouterFlagOfTheKernel(t *testing.T) {
	far := segment(t)
	for value, want := range map[string]bool{"0": false, "1": true} {
		far.Run(t, "sh", "-c", "echo "+value+" > /proc/sys/net/ipv6/conf/eth0/forwarding")
		var i announce.Interface
		var err error
		far.Do(func() { i, err = announce.Sockets{}.Interface("eth0") })
		if err != nil || i.Router != want {
			t.Errorf("forwarding %s: router %t, %v", value, i.Router, err)
		}
		if !hasPrefix(i.Addresses, "192.0.2.11/24") || !hasPrefix(i.Addresses, "fe80::11/64") {
			t.Errorf("addresses %v", i.Addresses)
		}
	}
}

func hasPrefix(all []netip.Prefix, want string) bool {
	for _, p := range all {
		if p == netip.MustParsePrefix(want) {
			return true
		}
	}
	return false
}
