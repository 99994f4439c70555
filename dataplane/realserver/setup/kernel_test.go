package setup_test

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/realserver/setup"
)

// site is a segment with a director, which passes packets for the virtual addresses on to the
// server's MAC, a client and a server.
type site struct {
	client, director, server *netnstest.Far
	root, script             string // of the server
}

func newSite(t *testing.T, spec setup.Spec) *site {
	t.Helper()
	s := &site{root: t.TempDir(), script: filepath.Join(t.TempDir(), "setup.sh")}
	text, err := setup.Script(setup.Linux, spec)
	if err == nil {
		err = os.WriteFile(s.script, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	netnstest.Enter(t)
	netnstest.Run(t, "ip", "link", "add", "br0", "type", "bridge")
	netnstest.Run(t, "ip", "link", "set", "br0", "up")
	for i, host := range []**netnstest.Far{&s.director, &s.client, &s.server} {
		*host = netnstest.NewFar(t)
		port := fmt.Sprintf("tp%d", i)
		(*host).Cable(t, port, "eth0")
		netnstest.Run(t, "ip", "link", "set", port, "master", "br0")
		(*host).Run(t, "ip", "link", "set", "eth0", "address", fmt.Sprintf("02:00:00:00:00:0%d", i+1))
		for _, a := range []string{"192.0.2.1%d/24", "2001:db8::1%d/64", "fe80::1%d/64"} {
			(*host).Run(t, "ip", "address", "add", fmt.Sprintf(a, i+1), "dev", "eth0", "nodad")
		}
	}
	s.direct(t)
	s.serve(t)
	return s
}

// direct makes the director one: it holds the addresses and gives each packet for them the
// server's MAC. The counter counts what comes back through it.
func (s *site) direct(t *testing.T) {
	t.Helper()
	s.director.Run(t, "ip", "address", "add", "192.0.2.100/32", "dev", "eth0")
	s.director.Run(t, "ip", "address", "add", "2001:db8::100/128", "dev", "eth0", "nodad")
	s.director.Run(t, "nft", `table netdev director {
	chain ingress {
		type filter hook ingress device eth0 priority 0;
		ip saddr 192.0.2.100 counter
		ip6 saddr 2001:db8::100 counter
		ip daddr 192.0.2.100 ip protocol tcp ether daddr set 02:00:00:00:00:03 ether saddr set 02:00:00:00:00:01 fwd to eth0
		ip6 daddr 2001:db8::100 ip6 nexthdr tcp ether daddr set 02:00:00:00:00:03 ether saddr set 02:00:00:00:00:01 fwd to eth0
	}
}`)
}

func (s *site) serve(t *testing.T) {
	t.Helper()
	for _, port := range []string{"104", "22"} {
		var listener net.Listener
		var err error
		s.server.Do(func() { listener, err = net.Listen("tcp", ":"+port) })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, conn.RemoteAddr().(*net.TCPAddr).IP.String())
				_ = conn.Close()
			}
		}()
	}
}

// ask connects from the client and returns what the server says.
func (s *site) ask(address, port string, wait time.Duration) (got string, err error) {
	s.client.Do(func() {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", net.JoinHostPort(address, port), wait); err != nil {
			return
		}
		defer conn.Close()
		var b []byte
		b, err = io.ReadAll(conn)
		got = string(b)
	})
	return got, err
}

// run runs the script on the server with a /sys of its own.
func (s *site) run(t *testing.T, mode string) (output string, ok bool) {
	t.Helper()
	var out []byte
	var err error
	s.server.Do(func() {
		cmd := exec.CommandContext(t.Context(), "unshare", "-m", "sh", "-c", `mount -t sysfs sysfs /sys && exec dash "$0" "$1"`, s.script, mode)
		cmd.Env = append(os.Environ(), "TRUEPACS_ROOT="+s.root)
		out, err = cmd.CombinedOutput()
	})
	return string(out), err == nil
}

func (s *site) mustRun(t *testing.T, mode string) string {
	t.Helper()
	out, ok := s.run(t, mode)
	if !ok {
		t.Fatalf("%s failed:\n%s", mode, out)
	}
	return out
}

// state is everything on the server that the script may change.
func (s *site) state(t *testing.T) string {
	t.Helper()
	files := s.server.Run(t, "sh", "-c", "cd "+s.root+" && find . -type f | sort && find . -type f | sort | xargs -r cat")
	return s.server.Run(t, "sh", "-c", "ip -o address show | grep -v 'inet6 fe80'; grep -H . /proc/sys/net/ipv4/conf/*/arp_* /proc/sys/net/ipv4/conf/*/rp_filter; nft -s -a list ruleset") + files
}

func (s *site) holders(t *testing.T, address string) string {
	t.Helper()
	var macs []net.HardwareAddr
	var err error
	s.client.Do(func() {
		prober := announce.Prober{Network: announce.Sockets{}, Count: 2, Interval: 100 * time.Millisecond}
		macs, err = prober.Holders(t.Context(), "eth0", netip.MustParseAddr(address))
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(macs)
}

// TestLinuxScripts runs both ways of preparing a server on a real kernel and network.
func TestLinuxScripts(t *testing.T) {
	for _, method := range []setup.Method{setup.Loopback, setup.Redirect} {
		t.Run(string(method), func(t *testing.T) {
			s := newSite(t, setup.Spec{
				VIPs: []setup.VIP{virtual("192.0.2.100", 104), virtual("2001:db8::100", 104)}, Method: method, Interfaces: []string{"eth0"},
			})
			before := s.state(t)
			if got, err := s.ask("192.0.2.100", "104", 500*time.Millisecond); err == nil {
				t.Fatalf("an unprepared server answers %q: the test proves nothing", got)
			}
			if out, ok := s.run(t, "--check"); ok || !strings.Contains(out, "BAD") {
				t.Errorf("before, --check says:\n%s", out)
			}
			s.mustRun(t, "--apply")
			once := s.state(t)
			s.mustRun(t, "--apply")
			if diff := cmp.Diff(once, s.state(t)); diff != "" {
				t.Errorf("the second --apply changed (-once +twice):\n%s", diff)
			}
			if out := s.mustRun(t, "--check"); strings.Contains(out, "BAD") {
				t.Errorf("--check says:\n%s", out)
			}
			s.wantTraffic(t)
			if method == setup.Loopback {
				s.wantMistakesSeen(t)
			}
			if method == setup.Redirect {
				s.useRemoval(t)
				s.mustRun(t, "")
			} else {
				s.mustRun(t, "--remove")
			}
			if diff := cmp.Diff(before, s.state(t)); diff != "" {
				t.Errorf("--remove left (-before +after):\n%s", diff)
			}
		})
	}
}

// useRemoval puts the script that only removes in place of the other one.
func (s *site) useRemoval(t *testing.T) {
	t.Helper()
	text, err := setup.Removal(setup.Linux)
	if err == nil {
		err = os.WriteFile(s.script, []byte(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// wantTraffic: the declared port answers with the client's address kept and replies that pass the
// director by; others do not answer; nobody but the director says that it has the addresses.
func (s *site) wantTraffic(t *testing.T) {
	t.Helper()
	for vip, client := range map[string]string{"192.0.2.100": "192.0.2.12", "2001:db8::100": "2001:db8::12"} {
		if got, err := s.ask(vip, "104", 10*time.Second); err != nil || got != client {
			t.Errorf("%s: the server says %q, %v, want the client's address", vip, got, err)
		}
		if got, err := s.ask(vip, "22", 500*time.Millisecond); err == nil {
			t.Errorf("%s: the undeclared port 22 answers %q", vip, got)
		}
		if got := s.holders(t, vip); got != "[02:00:00:00:00:01]" {
			t.Errorf("%s is answered for by %s, want the director alone", vip, got)
		}
	}
	s.wantSilence(t)
	if got, err := s.ask("192.0.2.13", "22", 10*time.Second); err != nil {
		t.Errorf("the server's own port 22 does not answer any more: %q, %v", got, err)
	}
	if rules := s.director.Run(t, "nft", "list", "ruleset"); strings.Count(rules, "counter packets 0 ") != 2 {
		t.Errorf("replies came through the director:\n%s", rules)
	}
}

// wantSilence sends what port scanners do straight to the server, to ports that nobody declared: one with
// a listener, one without.
func (s *site) wantSilence(t *testing.T) {
	t.Helper()
	scanner := netnstest.Scanner{
		Do: s.client.Do, Interface: "eth0", Own4: "192.0.2.12", Own6: "2001:db8::12", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 3},
	}
	for vip, own := range map[string]string{"192.0.2.100": "192.0.2.13", "2001:db8::100": "2001:db8::13"} {
		eyes := netip.AddrPortFrom(netip.MustParseAddr(own), 9)
		for kind, flags := range netnstest.Scans() {
			if got := scanner.Ask(t, netip.MustParseAddr(vip), []uint16{22, 23}, flags, eyes); len(got) > 0 {
				t.Errorf("%s: undeclared ports answer %s: %v", vip, kind, got)
			}
		}
		if got := scanner.Ask(t, eyes.Addr(), []uint16{22, 23}, netnstest.ACK, eyes); len(got) != 2 {
			t.Errorf("%s: ports answer %v: the test does not see", own, got)
		}
	}
}

// wantMistakesSeen breaks what was prepared, one by one.
func (s *site) wantMistakesSeen(t *testing.T) {
	t.Helper()
	for command, want := range map[string]string{
		"echo 0 > /proc/sys/net/ipv4/conf/eth0/arp_ignore":   "eth0 answers ARP",
		"echo 0 > /proc/sys/net/ipv4/conf/eth0/arp_announce": "eth0 tells its neighbours",
		"ip address del 192.0.2.100/32 dev lo":               "192.0.2.100 is not on lo",
		"nft delete table inet truepacs_realserver":          "are not loaded",
	} {
		s.server.Run(t, "sh", "-c", command)
		if out, ok := s.run(t, "--check"); ok || !strings.Contains(out, "BAD") || !strings.Contains(out, want) {
			t.Errorf("after %q --check says:\n%s", command, out)
		}
		s.mustRun(t, "--apply")
		s.mustRun(t, "--check")
	}
}
