package preflight

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/model"
	"golang.org/x/sys/unix"
)

func TestSocketsOfThisHost(t *testing.T) {
	l, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := netip.MustParseAddrPort(l.Addr().String())
	node := model.Node{Proxy: model.Proxy{Listeners: []model.Listener{{Address: netip.AddrPortFrom(vip, at.Port())}}}}
	found, err := Host{}.Sockets(node)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	if len(found) != 1 || found[0].Address != at || found[0].Program+"\n" != string(self) {
		t.Errorf("found %+v", found)
	}
}

func TestSettingsOfThisHost(t *testing.T) {
	dir := t.TempDir()
	for name, value := range map[string]string{
		"all/rp_filter": "0", "eth0/rp_filter": "1", "lo/rp_filter": "2", "kube-ipvs0/rp_filter": "0",
	} {
		path := filepath.Join(dir, "sys/net/ipv4/conf", name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(value+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h := Host{Procfs: dir}
	if i, err := h.Interface(Interface{Name: "lo"}); err != nil || i.RPFilter != 2 || i.LRO {
		t.Errorf("got %+v, %v", i, err)
	}
	if !h.KubeProxy() || (Host{Procfs: t.TempDir()}).KubeProxy() {
		t.Error("kube-proxy is told wrongly")
	}
	if _, err := h.Forwarding(); err == nil {
		t.Error("a setting that is not there was read")
	}
}

func TestForwardingOfThisHost(t *testing.T) {
	dir := t.TempDir()
	put := func(name, value string) {
		path := filepath.Join(dir, "sys/net", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(value+"\n"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	read := func() Forwarding {
		f, err := (Host{Procfs: dir}).Forwarding()
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	put("ipv4/ip_forward", "0")
	put("ipv4/conf/eth0/forwarding", "0")
	put("ipv4/conf/docker0/forwarding", "1")
	want := Forwarding{Interfaces: map[string]bool{"eth0": false, "docker0": true}}
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("without IPv6 (-want +got):\n%s", diff)
	}
	put("ipv6/conf/all/forwarding", "1")
	want.IPv6 = true
	if diff := cmp.Diff(want, read()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	put("ipv4/ip_forward", "1")
	if !read().IPv4 {
		t.Error("the host forwards IPv4")
	}
}

func TestLargestPacketOnLoopback(t *testing.T) {
	got, err := Host{}.MTU(t.Context(), netip.MustParseAddr("127.0.0.1"), 1500)
	if err != nil || got != 1500 {
		t.Errorf("got %d, %v", got, err)
	}
}

// TestLargestPacketOnTheWire asks a server that takes less than this host sends, by both families.
func TestLargestPacketOnTheWire(t *testing.T) {
	far := newServer(t)
	for _, takes := range []int{1500, 1400} {
		far.Run(t, "ip", "link", "set", "tp1", "mtu", strconv.Itoa(takes))
		for _, server := range []string{"192.0.2.11", "2001:db8::11"} {
			got, err := Host{}.MTU(t.Context(), netip.MustParseAddr(server), 1500)
			if err != nil || got != takes {
				t.Errorf("%s takes %d: got %d, %v", server, takes, got, err)
			}
		}
	}
	far.Run(t, "ip", "-6", "address", "flush", "dev", "tp1", "scope", "global")
	if got, err := (Host{}).MTU(t.Context(), netip.MustParseAddr("2001:db8::11"), 1500); got != 0 || err != nil {
		t.Errorf("nobody: got %d, %v", got, err)
	}
}

func TestLargestPacketIsFound(t *testing.T) {
	for name, tc := range map[string]struct {
		takes int          // the largest packet that comes back
		loses map[int]bool // questions that get lost, by number
		want  int
	}{
		"all": {1500, nil, 1500}, "one lost": {1500, map[int]bool{0: true}, 1500}, "tunnel": {1450, nil, 1450}, "odd": {1399, nil, 1280},
		"silent": {0, nil, 0}, "least": {600, nil, 576},
	} {
		asked := 0
		got, err := largestAnswered(t.Context(), 1500, leastSize, func(_ context.Context, size int) (bool, error) {
			asked++
			return size <= tc.takes && !tc.loses[asked-1], nil
		})
		if got != tc.want || err != nil {
			t.Errorf("%s: %d, %v, want %d", name, got, err, tc.want)
		}
		if tc.takes == 0 && asked > 2 {
			t.Errorf("%s: asked %d times", name, asked)
		}
	}
}

// TestDriverThatMergesPackets feeds what a driver with large receive offload answers.
func TestDriverThatMergesPackets(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"all", "eth0"} {
		path := filepath.Join(dir, "sys/net/ipv4/conf", name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, "rp_filter"), []byte("0\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for flags, want := range map[uint32]bool{0: false, 1 << 15: true, 1<<15 | 1<<7: true, 1 << 14: false} {
		h := Host{Procfs: dir, Flags: func(string) (uint32, error) { return flags, nil }}
		if i, err := h.Interface(Interface{Name: "eth0"}); err != nil || i.LRO != want {
			t.Errorf("flags %#x: %+v, %v", flags, i, err)
		}
	}
}

func TestAnswersOfNeighboursAreTold(t *testing.T) {
	request := echoRequest(7, 1500, 100)
	if onesSum(request) != 0xffff {
		t.Errorf("checksum %#x", onesSum(request))
	}
	reply := append(make([]byte, ipHeader), request...)
	reply[0], reply[ipHeader] = 0x45, 0
	request6, request6Alone := echoRequest6(7, 1500, 100), echoRequest6(7, 1500, 100)
	reply6 := append([]byte(nil), request6...)
	reply6[0] = icmp6EchoReply
	for name, tc := range map[string]struct {
		packet []byte
		want   bool
	}{"answer": {reply6, true}, "request": {request6Alone, false}, "cut": {reply6[:50], false}, "empty": {nil, false}} {
		if got := answers(tc.packet, request6); got != tc.want {
			t.Errorf("IPv6, %s: %v", name, got)
		}
	}
	other := append([]byte(nil), reply...)
	other[ipHeader+5]++
	for name, tc := range map[string]struct {
		packet []byte
		want   bool
	}{
		"answer": {reply, true}, "request": {append(reply[:ipHeader:ipHeader], request...), false}, "another's": {other, false},
		"cut": {reply[:50], false}, "empty": {nil, false}, "bad header": {[]byte{0x4f, 21: 0}, false},
	} {
		if got := answers(tc.packet, request); got != tc.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func FuzzDiag(f *testing.F) {
	good := make([]byte, diagMessageLength)
	good[0] = unix.AF_INET
	binary.BigEndian.PutUint16(good[4:], 443)
	f.Add(good)
	f.Add(good[:40])
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := parseDiag(b)
		if err == nil && !l.address.IsValid() {
			t.Errorf("%v", l)
		}
	})
}
