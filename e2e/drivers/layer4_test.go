package drivers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/nft"
	"github.com/truepacs/balancer/e2e/lab"
)

const virtualIP6 = "2001:db8:1::100"

// TestWaysOfForwardingOnOneDirector has services of direct routing, NAT and masquerading side by
// side on a kernel with IPVS: the table of dataplane/nft is what tells them apart. IPVS itself is
// programmed by ipvsadm, so that nothing else of the product can hide a fault.
func TestWaysOfForwardingOnOneDirector(t *testing.T) {
	t.Parallel()
	program := buildTest(t, programs["inside"])
	l := newLab(t)
	outside, inside := network(t, l, "outside"), network(t, l, "inside")
	director, err := l.Machine("lb1", lab.MachineSpec{
		NICs: []lab.NIC{
			{Network: outside, Addresses: lab.Prefixes("192.0.2.2/24", "2001:db8:1::2/64")},
			{Network: inside, Addresses: lab.Prefixes("198.51.100.2/24", "2001:db8:2::2/64")},
		},
		Tools: []string{"ip", "ipvsadm", "nft", "conntrack"},
	})
	if err != nil {
		t.Fatal(err)
	}
	putProgram(t, director, program)
	client := namespace(t, l, outside, "client", "192.0.2.50/24", "2001:db8:1::50/64")
	direct := newServer(t, l, outside, program, "direct", "192.0.2.11")
	lost := namespace(t, l, inside, "lost", "198.51.100.11/24", "2001:db8:2::11/64") // no route to the client
	routed := namespace(t, l, inside, "routed", "198.51.100.12/24")
	run(t, routed, "ip", "route", "add", "default", "via", "198.51.100.2")
	serve(t, lost, "tcp4", "198.51.100.11:1104")
	serve(t, lost, "tcp6", "[2001:db8:2::11]:1106")
	serve(t, routed, "tcp4", "198.51.100.12:1105")
	serve(t, direct, "tcp4", virtualIP+":4104")

	program4(t, director)
	services := layer4Services()
	desired := nft.Desired{Services: services, Guarded: []netip.Addr{netip.MustParseAddr(virtualIP), netip.MustParseAddr(virtualIP6)}}
	mark(t, director, desired)

	t.Run("SNAT server sees the director", func(t *testing.T) { checkMasqueraded(t, client, lost) })
	t.Run("NAT server sees the client", func(t *testing.T) {
		if got := converse(t, open(t, client, net.JoinHostPort(virtualIP, "1105"))); got != "192.0.2.50" {
			t.Errorf("the server sees %s", got)
		}
	})
	t.Run("direct routing is not tracked", func(t *testing.T) { checkTracked(t, director, client) })
	t.Run("a server on the director itself answers", func(t *testing.T) { checkLocal(t, director, client) })
	t.Run("a connection is reset before IPVS takes the packet", func(t *testing.T) { checkReset(t, director, client, direct, desired) })
}

func network(t *testing.T, l *lab.Lab, name string) *lab.Network {
	t.Helper()
	n, err := l.Network(name)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func namespace(t *testing.T, l *lab.Lab, on *lab.Network, name string, addresses ...string) *lab.Namespace {
	t.Helper()
	h, err := l.Namespace(name, lab.NIC{Network: on, Addresses: lab.Prefixes(addresses...)})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// program4 gives the director addresses, settings and IPVS services by hand.
func program4(t *testing.T, director lab.Host) {
	t.Helper()
	run(t, director, "sh", "-c", `set -e
modprobe ip_vs
ip addr add 192.0.2.100/32 dev eth0
ip -6 addr add `+virtualIP6+`/128 dev eth0 nodad
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
echo 1 > /proc/sys/net/ipv4/vs/conntrack
ipvsadm -A -f 1 -s rr
ipvsadm -a -f 1 -r 192.0.2.11 -g
ipvsadm -A -f 2 -s rr
ipvsadm -a -f 2 -r 198.51.100.11 -m
ipvsadm -A -f 3 -s rr
ipvsadm -a -f 3 -r 198.51.100.12 -m
ipvsadm -A -f 4 -s rr
ipvsadm -a -f 4 -r 192.0.2.2 -g
ipvsadm -A -f 2 -6 -s rr
ipvsadm -a -f 2 -6 -r [2001:db8:2::11]:0 -m`)
}

func layer4Services() []model.VirtualService {
	one := func(key string, mark uint32, address string, way model.Forwarding, ports ...uint16) model.VirtualService {
		return model.VirtualService{
			Key: key, Mark: mark, Addresses: []netip.Addr{netip.MustParseAddr(address)}, Protocol: model.TCP, Ports: ports, Forwarding: way,
		}
	}
	return []model.VirtualService{
		one("direct", 1, virtualIP, model.DirectRouting, 104, 4104),
		one("masqueraded", 2, virtualIP, model.SNAT, 1104),
		one("translated", 3, virtualIP, model.NAT, 1105),
		one("local", 4, virtualIP, model.DirectRouting, 3104),
		one("masqueraded6", 2, virtualIP6, model.SNAT, 1106),
	}
}

// mark runs the driver in the host and returns its log.
func mark(t *testing.T, h lab.Host, desired nft.Desired) string {
	t.Helper()
	b, err := json.Marshal(desired)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Put(t.Context(), "/tmp/desired.json", bytes.NewReader(b), 0o600); err != nil {
		t.Fatal(err)
	}
	return run(t, h, "env", "DESIRED=/tmp/desired.json", "/tmp/inside", "-test.v", "-test.run=^TestMark$", "-test.timeout=5m")
}

// serve answers each line of a client with the client's address as the server sees it.
func serve(t *testing.T, h *lab.Namespace, network, address string) {
	t.Helper()
	if err := h.Serve(t.Context(), network, address, answer); err != nil {
		t.Fatal(err)
	}
}

func answer(conn net.Conn) {
	from := netip.MustParseAddrPort(conn.RemoteAddr().String()).Addr().String() + "\n"
	b := make([]byte, 1)
	for {
		if _, err := conn.Read(b); err != nil {
			return
		}
		if _, err := io.WriteString(conn, from); err != nil {
			return
		}
	}
}

func open(t *testing.T, client *lab.Namespace, address string) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := client.Dial(ctx, "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func converse(t *testing.T, conn net.Conn) string {
	t.Helper()
	text, err := say(conn)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func say(conn net.Conn) (string, error) {
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(conn, "?"); err != nil {
		return "", err
	}
	b := make([]byte, 100)
	n, err := conn.Read(b)
	return strings.TrimSpace(string(b[:n])), err
}

func checkMasqueraded(t *testing.T, client, lost *lab.Namespace) {
	capture, err := lost.Capture(t.Context(), "eth0", "tcp")
	if err != nil {
		t.Fatal(err)
	}
	for to, want := range map[string]string{
		net.JoinHostPort(virtualIP, "1104"): "198.51.100.2", net.JoinHostPort(virtualIP6, "1106"): "2001:db8:2::2",
	} {
		if got := converse(t, open(t, client, to)); got != want {
			t.Errorf("%s: the server sees %s, want %s", to, got, want)
		}
	}
	frames, err := capture.Frames()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, f := range frames {
		seen[f.Source.String()]++
	}
	if len(seen) != 4 || seen["198.51.100.2"] == 0 || seen["2001:db8:2::2"] == 0 {
		t.Errorf("the capture at the server shows frames from %v", seen)
	}
}

// checkTracked looks for the connections in the director's connection tracking.
func checkTracked(t *testing.T, director lab.Host, client *lab.Namespace) {
	kept := []net.Conn{open(t, client, virtualIP+":4104"), open(t, client, virtualIP+":1104"), open(t, client, virtualIP+":1105")}
	for _, conn := range kept {
		converse(t, conn)
	}
	listed := run(t, director, "conntrack", "-L")
	for port, want := range map[string]bool{"4104": false, "1104": true, "1105": true} {
		if got := strings.Contains(listed, "port="+port+" "); got != want {
			t.Errorf("port %s tracked: %v, want %v:\n%s", port, got, want, listed)
		}
	}
}

// checkLocal has a server on the director, to which IPVS delivers through the guard.
func checkLocal(t *testing.T, director lab.Host, client *lab.Namespace) {
	server, err := director.Start(t.Context(), lab.ProcessSpec{Argv: []string{"nc", "-ll", "-p", "3104", "-e", "/bin/sh", "-c", "echo local"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = server.Kill() }()
	run(t, director, "sh", "-c", "until netstat -ltn | grep -q :3104; do sleep 0.1; done")
	if got, err := io.ReadAll(open(t, client, virtualIP+":3104")); err != nil || string(got) != "local\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if got := run(t, director, "ipvsadm", "-Lnc"); !strings.Contains(got, ":3104") {
		t.Errorf("IPVS has not seen the connection:\n%s", got)
	}
}

func checkReset(t *testing.T, director lab.Host, client, server *lab.Namespace, desired nft.Desired) {
	to := netip.MustParseAddrPort(virtualIP + ":4104")
	ended, kept := open(t, client, to.String()), open(t, client, to.String())
	converse(t, ended)
	desired.Resets = []nft.Flow{{Client: netip.MustParseAddrPort(ended.LocalAddr().String()), VIP: to}}
	mark(t, director, desired)
	capture, err := server.Capture(t.Context(), "eth0", "tcp port 4104 and tcp port "+port(ended.LocalAddr()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := say(ended); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the connection to be reset: %v", err)
	}
	// The first packet has become a reset for the server; the client sends it again and is told.
	frames, err := capture.Frames()
	if err != nil || len(frames) != 1 || frames[0].TCPFlags&tcpReset == 0 {
		t.Errorf("the server gets %v, %v", frames, err)
	}
	converse(t, kept)
	if log := mark(t, director, desired); !strings.Contains(log, "Guarded:0 Reset:1 ") {
		t.Errorf("the driver says:\n%s", log)
	}
}

// tcpReset is the flag RST (RFC 9293 section 3.1).
const tcpReset = 0x04

func port(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}
