package direct

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// state is what Dialer may have touched in a namespace.
func (l *lab) state(host string) string {
	all := l.in(host, "nft", "list", "ruleset") + l.in(host, "ip", "route", "show", "table", "all") + l.in(host, "ip", "-6", "route", "show", "table", "all") +
		l.in(host, "ip", "rule") + l.in(host, "ip", "-6", "rule") + l.in(host, "ip", "addr", "show", "scope", "global") +
		l.in(host, "sh", "-c", "cat /proc/sys/net/ipv4/conf/*/accept_local /proc/sys/net/ipv4/conf/*/rp_filter")
	// Link-local addresses come when they come.
	lines := slices.DeleteFunc(strings.Split(all, "\n"), func(s string) bool { return strings.Contains(s, "fe80:") || strings.Contains(s, "ff00::") })
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestDirectors: alike on the director that holds the VIP and on the one that does not, IPv4 and
// IPv6; what server and capture see; nothing is left behind.
func TestDirectors(t *testing.T) {
	l := newLab(t)
	for _, host := range []string{"active", "standby"} {
		before := l.state(host)
		d := l.start(host, "director")
		for _, c := range []struct{ vip, with, without, forwards, mute string }{
			{vip4, "192.0.2.13", "192.0.2.14", "192.0.2.15", "192.0.2.16"},
			{vip6, "2001:db8::13", "2001:db8::14", "2001:db8::15", "2001:db8::16"},
		} {
			want := "with " + netip.AddrPortFrom(netip.MustParseAddr(c.vip), 104).String()
			for range 3 {
				if a := d.dial(c.vip, c.with); a.Text != want {
					t.Errorf("%s: server with %s: %+v, want %q", host, c.vip, a, want)
				}
			}
			if a := d.dial(c.vip, c.without); a.Reason != "NoVIP" {
				t.Errorf("%s: server without %s: %+v", host, c.vip, a)
			}
			// It passes packets on: without the hop limit they would come to the active director.
			if a := d.dial(c.vip, c.forwards); a.Reason != "NoVIP" {
				t.Errorf("%s: forwarding server without %s: %+v", host, c.vip, a)
			}
			if a := d.dial(c.vip, c.mute); a.Reason != "Refused" {
				t.Errorf("%s: server with %s and no service: %+v", host, c.vip, a)
			}
		}
		if a := d.dial(vip4, "192.0.2.77"); a.Reason != "other" && a.Reason != "Timeout" {
			t.Errorf("%s: nobody there: %+v", host, a)
		}
		if a := d.ask(order{Close: true}); a.Err != "<nil>" {
			t.Errorf("%s: Close: %s", host, a.Err)
		}
		if a := d.dial(vip4, "192.0.2.13"); a.Reason != "Closed" {
			t.Errorf("%s: after Close: %+v", host, a)
		}
		if after := l.state(host); after != before {
			t.Errorf("%s: left behind:\n%s\nbefore:\n%s", host, after, before)
		}
	}
}

// TestOffSegment: a server behind a router cannot be reached by direct routing.
func TestOffSegment(t *testing.T) {
	l := newLab(t)
	l.in("standby", "ip", "route", "add", "198.51.100.0/24", "via", "192.0.2.15")
	if a := l.start("standby", "director").dial(vip4, "198.51.100.9"); a.Reason != "OffSegment" {
		t.Errorf("%+v", a)
	}
}

// TestServerIsTheDirector: a director that serves as well is checked at its own address; no path is
// made for it.
func TestServerIsTheDirector(t *testing.T) {
	l := newLab(t)
	d := l.start("active", "director")
	if a := d.dial(vip4, "192.0.2.11"); a.Text != "active 192.0.2.11:104" {
		t.Errorf("%+v", a)
	}
	if after := l.state("active"); strings.Contains(after, "via 192.0.2.11") || strings.Contains(after, "elements") {
		t.Errorf("a path was made:\n%s", after)
	}
}

// TestSweep: an agent whose services need no path any more removes what a killed one left, and only
// that; where nothing is left it changes nothing.
func TestSweep(t *testing.T) {
	l := newLab(t)
	before := l.state("active")
	first := l.start("active", "director")
	if a := first.dial(vip4, "192.0.2.13"); a.Text == "" {
		t.Fatalf("%+v", a)
	}
	first.in.Close() // ends without Close
	if l.state("active") == before {
		t.Fatal("nothing was left, the sample is empty")
	}
	for range 2 {
		if a := l.start("active", "director").ask(order{Sweep: true}); a.Err != "<nil>" {
			t.Errorf("%+v", a)
		}
		if after := l.state("active"); after != before {
			t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
		}
	}
}

// TestDamageIsNoDeadServer: a firewall reload that flushes everything, or a lost route, is reported
// as our own fault once, and mended.
func TestDamageIsNoDeadServer(t *testing.T) {
	l := newLab(t)
	d := l.start("active", "director")
	if a := d.dial(vip4, "192.0.2.13"); a.Text == "" {
		t.Fatalf("%+v", a)
	}
	x := alias(DefaultPool4(), netip.MustParseAddr(vip4), 0).String()
	for name, damage := range map[string][]string{
		"flushed ruleset": {"nft", "flush", "ruleset"},
		"flushed chain":   {"nft", "flush", "chain", "ip", tableName, "outward"},
		"lost route":      {"ip", "route", "del", x},
		"lost element":    {"nft", "delete", "element", "ip", tableName, outMap, fmt.Sprintf("{ %s : %s }", x, vip4)},
	} {
		l.in("active", damage...)
		impatient := order{VIP: netip.AddrPortFrom(netip.MustParseAddr(vip4), 104), Server: netip.MustParseAddr("192.0.2.13")}
		if a := d.ask(impatient); a.Reason != "Unprepared" {
			t.Errorf("%s: %+v", name, a)
		}
		if a := d.dial(vip4, "192.0.2.13"); !strings.HasPrefix(a.Text, "with ") {
			t.Errorf("%s, mended: %+v", name, a)
		}
	}
}

// TestRestartTakesOver: what a killed agent left is replaced, and goes with the next Close.
func TestRestartTakesOver(t *testing.T) {
	l := newLab(t)
	before := l.state("active")
	first := l.start("active", "director")
	if a := first.dial(vip4, "192.0.2.13"); a.Text == "" {
		t.Fatalf("%+v", a)
	}
	first.in.Close() // ends without Close
	second := l.start("active", "director")
	if a := second.dial(vip4, "192.0.2.14"); a.Reason != "NoVIP" {
		t.Errorf("%+v", a)
	}
	if a := second.dial(vip4, "192.0.2.13"); !strings.HasPrefix(a.Text, "with ") {
		t.Errorf("%+v", a)
	}
	second.ask(order{Close: true})
	if after := l.state("active"); after != before {
		t.Errorf("left behind:\n%s\nbefore:\n%s", after, before)
	}
}
