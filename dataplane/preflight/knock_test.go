package preflight

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// newServer is a host at the other end of a cable, tp1, of which this one has tp0.
func newServer(t *testing.T) *netnstest.Far {
	t.Helper()
	far := netnstest.NewFar(t)
	netnstest.Enter(t)
	far.Cable(t, "tp0", "tp1")
	for _, prefix := range []string{"192.0.2.%s/24", "2001:db8::%s/64"} {
		netnstest.Run(t, "ip", "address", "add", fmt.Sprintf(prefix, "2"), "dev", "tp0", "nodad")
		far.Run(t, "ip", "address", "add", fmt.Sprintf(prefix, "11"), "dev", "tp1", "nodad")
	}
	return far
}

// macOf is the address of the far end.
func macOf(t *testing.T, far *netnstest.Far, name string) net.HardwareAddr {
	t.Helper()
	var i *net.Interface
	var err error
	far.Do(func() { i, err = net.InterfaceByName(name) })
	if err != nil {
		t.Fatal(err)
	}
	return i.HardwareAddr
}

// TestServerAcceptsAnAddress asks a server for addresses that it has on another interface, and for
// the same ones when it has them no more. Its software hears of nothing.
func TestServerAcceptsAnAddress(t *testing.T) {
	far := newServer(t)
	mac := macOf(t, far, "tp1")
	ask := func(from, to string) bool {
		t.Helper()
		got, err := Host{}.Accepts(t.Context(), Way{Interface: "tp0", From: netip.MustParseAddr(from), MAC: mac}, netip.MustParseAddrPort(to))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	// A director holds the address itself, so its own kernel drops the answers.
	netnstest.Run(t, "ip", "address", "add", "192.0.2.100/32", "dev", "lo")
	var software net.Listener
	var err error
	far.Do(func() { software, err = net.Listen("tcp", ":104") })
	if err != nil {
		t.Fatal(err)
	}
	defer software.Close()
	for _, tc := range []struct{ from, own, vip string }{
		{"192.0.2.2", "192.0.2.11", "192.0.2.100"}, {"2001:db8::2", "2001:db8::11", "2001:db8::100"},
	} {
		open, closed := net.JoinHostPort(tc.vip, "104"), net.JoinHostPort(tc.vip, "105")
		bits := strconv.Itoa(netip.MustParseAddr(tc.vip).BitLen())
		if !ask(tc.from, net.JoinHostPort(tc.own, "104")) || ask(tc.from, open) {
			t.Errorf("%s: a server without the address", tc.vip)
		}
		far.Run(t, "ip", "address", "add", tc.vip+"/"+bits, "dev", "lo", "nodad")
		if !ask(tc.from, open) || !ask(tc.from, closed) {
			t.Errorf("%s: the server has it", tc.vip)
		}
		far.Run(t, "ip", "address", "del", tc.vip+"/"+bits, "dev", "lo")
		if ask(tc.from, open) {
			t.Errorf("%s: the server has lost it", tc.vip)
		}
	}
	if half := far.Run(t, "ss", "-Htan", "state", "syn-recv"); half != "" {
		t.Errorf("the server still waits for the rest of a connection: %s", half)
	}
	_ = software.(*net.TCPListener).SetDeadline(time.Now().Add(500 * time.Millisecond))
	if c, err := software.Accept(); err == nil {
		t.Errorf("the server's software has a connection of %s", c.RemoteAddr())
	}
	for _, tc := range []struct{ nic, to string }{{"tp0", "[2001:db8::1]:1"}, {"tp9", "192.0.2.9:1"}} {
		way := Way{Interface: tc.nic, From: netip.MustParseAddr("192.0.2.2"), MAC: mac}
		if _, err := (Host{}).Accepts(t.Context(), way, netip.MustParseAddrPort(tc.to)); err == nil {
			t.Errorf("%s on %s: no error", tc.to, tc.nic)
		}
	}
}

// someKnocks are one of each family.
func someKnocks() map[string]knock {
	return map[string]knock{
		"IPv4": {netip.MustParseAddrPort("192.0.2.2:50000"), netip.MustParseAddrPort("192.0.2.100:104"), 7},
		"IPv6": {netip.MustParseAddrPort("[2001:db8::2]:50000"), netip.MustParseAddrPort("[2001:db8::100]:104"), 7},
	}
}

// answerTo is what a server says with these flags.
func answerTo(k knock, flags byte, acknowledged uint32) []byte {
	back := knock{from: k.to, to: k.from}
	b := back.packet(flags, 99)
	at := len(b) - tcpHeader + 8
	b[at], b[at+1], b[at+2], b[at+3] = byte(acknowledged>>24), byte(acknowledged>>16), byte(acknowledged>>8), byte(acknowledged)
	return b
}

func TestAnswersToAKnock(t *testing.T) {
	for name, k := range someKnocks() {
		other := k
		other.to = netip.AddrPortFrom(k.to.Addr().Next(), 104)
		another := k
		another.from = netip.AddrPortFrom(k.from.Addr(), 50001)
		yes := answerTo(k, flagSYN|flagACK, 8)
		for kind, tc := range map[string]struct {
			packet []byte
			want   bool
		}{
			"yes": {yes, true}, "no": {answerTo(k, flagRST|flagACK, 8), true},
			"to another question": {answerTo(k, flagSYN|flagACK, 9), false}, "no answer": {answerTo(k, flagACK, 8), false},
			"another address": {answerTo(other, flagSYN|flagACK, 8), false}, "another port": {answerTo(another, flagSYN|flagACK, 8), false},
			"own": {k.packet(flagSYN, 7), false}, "cut": {yes[:len(yes)-1], false}, "empty": {nil, false}, "bad": {[]byte{0x4f, 30: 0}, false},
		} {
			if got := k.answered(tc.packet); got != tc.want {
				t.Errorf("%s %s: %v", name, kind, got)
			}
		}
	}
}

func FuzzAnswered(f *testing.F) {
	for _, k := range someKnocks() {
		f.Add(answerTo(k, flagSYN|flagACK, 8))
		f.Add(answerTo(k, flagRST|flagACK, 8)[:30])
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for name, k := range someKnocks() {
			if k.answered(b) && len(b) < ipHeader+tcpHeader {
				t.Errorf("%s: %d bytes are an answer", name, len(b))
			}
		}
	})
}
