package nft_test

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/nft"
)

// TestNftSeesTheTable has the nft program as the witness, to the last word.
func TestNftSeesTheTable(t *testing.T) {
	k := realKernel(t)
	mustSet(t, k, web)
	want := `table inet truepacs {
	map services4 {
		type ipv4_addr . inet_proto . inet_service : mark
		elements = { 192.0.2.100 . 6 . 443 : 0x54000002 }
	}

	chain prerouting {
		type filter hook prerouting priority mangle; policy accept;
		meta mark set ip daddr . meta l4proto . th dport map @services4
	}
}
`
	got := netnstest.Run(t, "nft", "-nn", "list", "table", "inet", "truepacs")
	if diff := cmp.Diff(want, strings.ReplaceAll(got, "priority -150", "priority mangle")); diff != "" {
		t.Errorf("nft lists (-want +got):\n%s", diff)
	}
}

// TestNftSeesTheElements compares all elements with nft's JSON.
func TestNftSeesTheElements(t *testing.T) {
	k := realKernel(t)
	mustSet(t, k, dicom, web)
	want := map[string]uint32{"192.0.2.100/6/443": 0x54000002}
	for key, mark := range dicomMarks {
		want[key] = mark
	}
	if diff := cmp.Diff(want, listed(t)); diff != "" {
		t.Errorf("nft lists (-want +got):\n%s", diff)
	}
}

func listed(t *testing.T) map[string]uint32 {
	t.Helper()
	var list struct {
		Nftables []struct {
			Map *struct {
				Elem [][2]json.RawMessage `json:"elem"`
			} `json:"map"`
		} `json:"nftables"`
	}
	out := netnstest.Run(t, "nft", "-j", "-nn", "list", "table", "inet", "truepacs")
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	found := map[string]uint32{}
	for _, object := range list.Nftables {
		if object.Map == nil {
			continue
		}
		for _, e := range object.Map.Elem {
			var key struct{ Concat []any }
			var mark uint32
			if err := json.Unmarshal(e[0], &key); err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(e[1], &mark); err != nil {
				t.Fatal(err)
			}
			found[fmt.Sprintf("%v/%v/%v", key.Concat[0], key.Concat[1], key.Concat[2])] = mark
		}
	}
	return found
}

// TestEveryAlterationIsNoticed alters the table with the nft program.
func TestEveryAlterationIsNoticed(t *testing.T) {
	tests := map[string]string{
		"rule removed":       "flush chain inet truepacs prerouting",
		"rule added":         "add rule inet truepacs prerouting accept",
		"rule in front":      "insert rule inet truepacs prerouting drop",
		"policy":             "chain inet truepacs prerouting { policy drop; }",
		"chain added":        "add chain inet truepacs other",
		"map added":          "add map inet truepacs other { type ipv4_addr : mark; }",
		"table asleep":       "add table inet truepacs { flags dormant; }",
		"element removed":    "delete element inet truepacs services4 { 192.0.2.100 . tcp . 443 }",
		"element added":      "add element inet truepacs services4 { 192.0.2.9 . tcp . 443 : 5 }",
		"all elements gone":  "flush map inet truepacs services4",
		"table removed":      "delete table inet truepacs",
		"element with udp":   "add element inet truepacs services4 { 192.0.2.9 . udp . 443 : 5 }",
		"rule is alike only": "flush chain inet truepacs prerouting; add rule inet truepacs prerouting meta nfproto ipv4 meta mark set ip saddr . meta l4proto . th dport map @services4",
	}
	for name, command := range tests {
		t.Run(name, func(t *testing.T) {
			k := realKernel(t)
			mustSet(t, k, web)
			before := netnstest.Run(t, "nft", "list", "table", "inet", "truepacs")
			netnstest.Run(t, "nft", command)
			k.writes = 0
			mustSet(t, k, web)
			k.wantWrites(t, 1)
			if diff := cmp.Diff(before, netnstest.Run(t, "nft", "list", "table", "inet", "truepacs")); diff != "" {
				t.Errorf("after the repair (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPacketsGetTheirMarks sends datagrams' worth of connection attempts over a wire and counts
// them by mark behind our chain.
func TestPacketsGetTheirMarks(t *testing.T) {
	k := realKernel(t)
	netnstest.Veth(t, "tp0", "tp1")
	mustSet(t, k, dicom, web)
	netnstest.Run(t, "nft", `table inet witness {
	chain prerouting {
		type filter hook prerouting priority filter;
		ip daddr 192.0.2.100 tcp dport 11112 meta mark 0x54000001 counter
		ip daddr 192.0.2.100 tcp dport 443 meta mark 0x54000002 counter
		ip daddr 192.0.2.100 tcp dport 80 meta mark 0 counter
		ip daddr 192.0.2.100 udp dport 443 meta mark 0 counter
		ip daddr 192.0.2.101 tcp dport 443 meta mark 0 counter
	}
}`)
	for _, p := range []struct {
		to       string
		protocol byte
		port     uint16
	}{{"192.0.2.100", 6, 11112}, {"192.0.2.100", 6, 443}, {"192.0.2.100", 6, 80}, {"192.0.2.100", 17, 443}, {"192.0.2.101", 6, 443}} {
		sendPacket(t, "tp0", "tp1", netip.MustParseAddr(p.to), p.protocol, p.port)
	}
	out := netnstest.Run(t, "nft", "list", "table", "inet", "witness")
	if got := strings.Count(out, "packets 1 "); got != 5 {
		t.Errorf("%d of 5 kinds of packets have their marks:\n%s", got, out)
	}
}

func TestReadingNothing(t *testing.T) {
	k := realKernel(t)
	table, err := k.Read(t.Context(), "truepacs")
	if table != nil || err != nil {
		t.Errorf("got %v, %v", table, err)
	}
}

var _ nft.Kernel = nft.Netfilter{}
