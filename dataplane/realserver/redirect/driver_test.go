package redirect_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/realserver/redirect"
)

// host is a kernel whose tables somebody can spoil.
type host struct {
	redirect.Kernel
	writes func() int
	spoil  func()
}

type counting struct {
	redirect.Netfilter
	n *int
}

func (c counting) Replace(ctx context.Context, ipv6 bool, rules []redirect.Rule) error {
	*c.n++
	return c.Netfilter.Replace(ctx, ipv6, rules)
}

func fakeHost(*testing.T) host {
	fake := &redirect.Fake{}
	return host{fake, fake.Writes, func() { fake.Spoil(false) }}
}

func realHost(t *testing.T) host {
	netnstest.Enter(t)
	n := new(int)
	spoil := func() {
		netnstest.Run(t, "nft", "add", "rule", "ip", "truepacs_redirect", "prerouting", "counter")
	}
	return host{counting{n: n}, func() int { return *n }, spoil}
}

func redirection(address string, protocol model.Protocol, ports ...uint16) redirect.Redirection {
	return redirect.Redirection{Address: netip.MustParseAddr(address), Protocol: protocol, Ports: ports}
}

func both() []redirect.Redirection {
	ranged := redirection("192.0.2.100", model.UDP)
	ranged.PortRanges = []model.PortRange{{First: 2000, Last: 2010}}
	return []redirect.Redirection{
		redirection("192.0.2.100", model.TCP, 11112, 104), redirection("2001:db8::100", model.TCP, 104), ranged,
		redirection("192.0.2.100", model.TCP, 104),
	}
}

// rules is what the kernel has, as text.
func (h host) rules(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, ipv6 := range []bool{false, true} {
		rules, intact, err := h.Read(t.Context(), ipv6)
		if err != nil || !intact {
			t.Fatalf("intact %t, %v", intact, err)
		}
		for _, r := range rules {
			out = append(out, r.String())
		}
	}
	return out
}

func (h host) mustSet(t *testing.T, all ...redirect.Redirection) {
	t.Helper()
	if err := redirect.New(h).Set(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// TestContract runs each clause of the driver's contract against the fake and the kernel.
func TestContract(t *testing.T) {
	clauses := map[string]func(*testing.T, host){
		"sets, keeps, removes": func(t *testing.T, h host) {
			want := []string{"192.0.2.100 TCP 104", "192.0.2.100 TCP 11112", "192.0.2.100 UDP 2000-2010", "2001:db8::100 TCP 104"}
			for range 2 {
				h.mustSet(t, both()...)
				if diff := cmp.Diff(want, h.rules(t)); diff != "" || h.writes() != 2 {
					t.Fatalf("%d writes, want one a family; rules (-want +got):\n%s", h.writes(), diff)
				}
			}
			h.mustSet(t)
			if got := h.rules(t); got != nil || h.writes() != 4 {
				t.Errorf("left %v after %d writes", got, h.writes())
			}
		},
		"spoilt table is mended": func(t *testing.T, h host) {
			h.mustSet(t, both()...)
			want := h.rules(t)
			h.spoil()
			h.mustSet(t, both()...)
			if diff := cmp.Diff(want, h.rules(t)); diff != "" || h.writes() != 3 {
				t.Errorf("%d writes, rules (-want +got):\n%s", h.writes(), diff)
			}
		},
		"bad items do not stop others": func(t *testing.T, h host) {
			backwards := redirection("192.0.2.3", model.TCP)
			backwards.PortRanges = []model.PortRange{{First: 9, Last: 8}}
			err := redirect.New(h).Set(t.Context(), []redirect.Redirection{
				redirection("192.0.2.1", "SCTP", 104), redirection("192.0.2.2", model.TCP, 0), backwards, {}, redirection("192.0.2.4", model.TCP, 104),
			})
			items, rest := model.ItemErrors(err)
			if len(items) != 4 || rest != nil {
				t.Errorf("got %v, want four item errors", err)
			}
			if diff := cmp.Diff([]string{"192.0.2.4 TCP 104"}, h.rules(t)); diff != "" {
				t.Errorf("rules (-want +got):\n%s", diff)
			}
		},
	}
	for clause, check := range clauses {
		t.Run(clause+"/fake", func(t *testing.T) { check(t, fakeHost(t)) })
		t.Run(clause+"/kernel in pod", func(t *testing.T) { check(t, realHost(t)) })
	}
}

func TestRefusalSaysWhatToDo(t *testing.T) {
	for errno, want := range map[error]string{syscall.EPERM: "NET_ADMIN", syscall.ENOENT: "nft_redir", syscall.EBUSY: "iptables"} {
		err := redirect.New(&redirect.Fake{Refuse: errno}).Set(t.Context(), both())
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: got %v, want %q", errno, err, want)
		}
	}
}

// TestNftReadsOurRules has nft as the witness, and a table of somebody else beside.
func TestNftReadsOurRules(t *testing.T) {
	h := realHost(t)
	netnstest.Run(t, "nft", "add", "table", "ip", "foreign")
	h.mustSet(t, both()...)
	got := netnstest.Run(t, "nft", "list", "ruleset")
	for _, want := range []string{
		"table ip foreign", "type nat hook prerouting priority dstnat", `ip daddr 192.0.2.100 tcp dport 104-104 redirect comment "192.0.2.100 TCP 104"`,
		"ip daddr 192.0.2.100 udp dport 2000-2010 redirect", "ip6 daddr 2001:db8::100 tcp dport 104-104 redirect",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("nft shows no %q but\n%s", want, got)
		}
	}
	h.mustSet(t)
	if got := netnstest.Run(t, "nft", "list", "ruleset"); strings.Contains(got, "truepacs") || !strings.Contains(got, "foreign") {
		t.Errorf("afterwards nft shows\n%s", got)
	}
}

// TestReplyComesFromTheVIP sends to the server's MAC with the virtual IP as destination, as a
// director does, and captures at the other end: the server does not hold the address, and every
// frame of the reply has the virtual IP and the port that was asked as source.
func TestReplyComesFromTheVIP(t *testing.T) {
	for _, tc := range []struct{ vip, own, client, length string }{
		{"192.0.2.100", "192.0.2.11", "192.0.2.50", "/24"}, {"2001:db8::100", "2001:db8::11", "2001:db8::50", "/64"},
	} {
		t.Run(tc.vip, func(t *testing.T) {
			h := realHost(t)
			client := netnstest.NewFar(t)
			client.Cable(t, "tp2", "eth0")
			netnstest.Run(t, "ip", "address", "add", tc.own+tc.length, "dev", "tp2", "nodad")
			// Linux asks for neighbours with its link-local address, which is tentative for a while.
			netnstest.Run(t, "ip", "address", "add", "fe80::11/64", "dev", "tp2", "nodad")
			client.Run(t, "ip", "address", "add", tc.client+tc.length, "dev", "eth0", "nodad")
			server, err := net.InterfaceByName("tp2")
			if err != nil {
				t.Fatal(err)
			}
			client.Run(t, "ip", "neigh", "add", tc.vip, "lladdr", server.HardwareAddr.String(), "dev", "eth0", "nud", "permanent")
			h.mustSet(t, redirection(tc.vip, model.TCP, 11112))
			serve(t)
			capture := t.TempDir() + "/frames.pcap"
			stop := record(t, client, capture)
			if got, err := ask(client, net.JoinHostPort(tc.vip, "11112")); err != nil || got != tc.client {
				t.Errorf("the server says %q, %v; want the client's address", got, err)
			}
			if _, err := ask(client, net.JoinHostPort(tc.vip, "11113")); err == nil {
				t.Error("a port that was not declared answers")
			}
			scanner := netnstest.Scanner{
				Do: client.Do, Interface: "eth0", Own4: "192.0.2.50", Own6: "2001:db8::50", MAC: server.HardwareAddr,
			}
			for kind, flags := range netnstest.Scans() {
				eyes := netip.AddrPortFrom(netip.MustParseAddr(tc.own), 9)
				if got := scanner.Ask(t, netip.MustParseAddr(tc.vip), []uint16{11113, 22}, flags, eyes); len(got) > 0 {
					t.Errorf("ports that were not declared answer %s: %v", kind, got)
				}
			}
			stop()
			frames := client.Run(t, "tcpdump", "-n", "-r", capture, "-Z", "root")
			if !strings.Contains(frames, tc.vip+".11112 > "+tc.client) || strings.Contains(frames, tc.own+".11112") {
				t.Errorf("frames on the wire:\n%s", frames)
			}
			if addresses := netnstest.Run(t, "ip", "address"); strings.Contains(addresses, tc.vip) {
				t.Errorf("the server holds the address:\n%s", addresses)
			}
		})
	}
}

// serve listens on all addresses and tells each client its address.
func serve(t *testing.T) {
	t.Helper()
	for _, port := range []string{"11112", "11113"} {
		listener, err := net.Listen("tcp", ":"+port)
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

func ask(client *netnstest.Far, address string) (got string, err error) {
	client.Do(func() {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", address, 2*time.Second); err != nil {
			return
		}
		defer conn.Close()
		var b []byte
		b, err = io.ReadAll(conn)
		got = string(b)
	})
	return got, err
}

// record captures what passes the client's interface until stop.
func record(t *testing.T, client *netnstest.Far, path string) (stop func()) {
	t.Helper()
	cmd := exec.Command("tcpdump", "-i", "eth0", "-Z", "root", "-U", "--immediate-mode", "-w", path, "tcp")
	said, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	client.Do(func() { err = cmd.Start() })
	if err != nil {
		t.Fatalf("tcpdump: %v", err)
	}
	b := make([]byte, 4096)
	for text := ""; !strings.Contains(text, "listening on"); {
		n, err := said.Read(b)
		if err != nil {
			t.Fatalf("tcpdump does not listen: %s", text)
		}
		text += string(b[:n])
	}
	go func() { _, _ = io.Copy(io.Discard, said) }()
	return func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); err != nil {
			t.Log(fmt.Errorf("tcpdump: %w", err))
		}
	}
}
