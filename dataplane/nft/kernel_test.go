package nft_test

import (
	_ "embed"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/nft"
)

//go:embed testdata/table.nft
var golden string

// TestNftSeesTheTable has the nft program as the witness, to the last word.
func TestNftSeesTheTable(t *testing.T) {
	k := realKernel(t)
	mustDo(t, k, everything())
	if diff := cmp.Diff(golden, listed(t)); diff != "" {
		t.Errorf("nft lists (-want +got):\n%s", diff)
	}
}

// listed is what the nft program lists, with elements in order and without what time changes.
func listed(t *testing.T) string {
	lines := strings.SplitAfter(netnstest.Run(t, "nft", "-n", "list", "table", "inet", "truepacs"), "\n")
	var out strings.Builder
	for i := 0; i < len(lines); i++ {
		if !strings.Contains(lines[i], "elements = {") {
			out.WriteString(lines[i])
			continue
		}
		block := lines[i]
		for !strings.Contains(block, "}") {
			i++
			block += lines[i]
		}
		inner := strings.NewReplacer("elements = {", "", "}", "").Replace(regexp.MustCompile(" expires [0-9a-z]+").ReplaceAllString(block, ""))
		elements := strings.Split(inner, ",")
		for i := range elements {
			elements[i] = strings.TrimSpace(elements[i])
		}
		out.WriteString("\t\telements = { " + strings.Join(sorted(elements), ", ") + " }\n")
	}
	return out.String()
}

// TestNftCanRestoreTheTable: administrators save their rules with nft and load them at boot. What
// they load works; nft writes it in a way of its own, so the driver may make the table anew.
func TestNftCanRestoreTheTable(t *testing.T) {
	k := realKernel(t)
	mustDo(t, k, everything())
	before := listed(t)
	saved := filepath.Join(t.TempDir(), "saved")
	if err := os.WriteFile(saved, []byte(netnstest.Run(t, "nft", "list", "ruleset")), 0o600); err != nil {
		t.Fatal(err)
	}
	netnstest.Run(t, "nft", "flush ruleset")
	netnstest.Run(t, "nft", "-f", saved)
	if diff := cmp.Diff(before, listed(t)); diff != "" {
		t.Errorf("after nft -f (-saved +loaded):\n%s", diff)
	}
	mustDo(t, k, everything())
	if diff := cmp.Diff(before, listed(t)); diff != "" {
		t.Errorf("after the driver (-saved +now):\n%s", diff)
	}
}

// TestEveryAlterationIsNoticed alters the table with the nft program.
func TestEveryAlterationIsNoticed(t *testing.T) {
	tests := map[string]string{
		"rule removed":         "flush chain inet truepacs prerouting",
		"rule added":           "add rule inet truepacs prerouting accept",
		"rule in front":        "insert rule inet truepacs prerouting drop",
		"policy":               "chain inet truepacs prerouting { policy drop; }",
		"chain added":          "add chain inet truepacs other",
		"map added":            "add map inet truepacs other { type ipv4_addr : mark; }",
		"table asleep":         "add table inet truepacs { flags dormant; }",
		"element removed":      "delete element inet truepacs services4 { 192.0.2.100 . tcp . 104 }",
		"element added":        "add element inet truepacs services4 { 192.0.2.9 . tcp . 443 : 5 }",
		"all elements gone":    "flush map inet truepacs services4",
		"table removed":        "delete table inet truepacs",
		"rule is alike only":   "flush chain inet truepacs prerouting; add rule inet truepacs prerouting meta nfproto ipv4 meta mark set ip saddr . meta l4proto . th dport map @services4",
		"range removed":        "delete element inet truepacs ranges4 { 192.0.2.100 . tcp . 2000-3000 }",
		"range added":          "add element inet truepacs ranges6 { 2001:db8::100 . tcp . 2000-3000 : 1 }",
		"address let through":  "delete element inet truepacs guarded6 { 2001:db8::100 }",
		"port opened":          "add element inet truepacs open4 { 192.0.2.100 . tcp . 22 }",
		"guard off":            "flush chain inet truepacs guard",
		"guard passes ssh":     "insert rule inet truepacs guard tcp dport 22 accept",
		"own source passes":    "flush chain inet truepacs ownsource",
		"tracked again":        "flush chain inet truepacs raw",
		"reset added":          "add element inet truepacs resets4 { 192.0.2.6 . 1 . 192.0.2.100 . 104 timeout 1h }",
		"reset for ever":       "delete element inet truepacs resets4 { 192.0.2.5 . 5000 . 192.0.2.100 . 104 }; add element inet truepacs resets4 { 192.0.2.5 . 5000 . 192.0.2.100 . 104 }",
		"everything is masked": "insert rule inet truepacs postrouting masquerade",
		"other segment size":   "flush chain inet truepacs clamp4; add rule inet truepacs clamp4 tcp flags syn,ack / syn,ack ip saddr @clamp4 tcp option maxseg size set 1300",
		"peer forgotten":       "flush set inet truepacs peers",
		"mark forgotten":       "delete element inet truepacs marks { 0x54000001 }",
		"address forgotten":    "flush set inet truepacs balanced6",
		"marks not watched":    "flush chain inet truepacs marks",
	}
	for name, command := range tests {
		t.Run(name, func(t *testing.T) {
			k := realKernel(t)
			mustDo(t, k, everything())
			before := listed(t)
			netnstest.Run(t, "nft", command)
			k.writes = 0
			mustDo(t, k, everything())
			k.wantWrites(t, 1)
			// A port that was open is closing for a while, whoever opened it.
			after := strings.ReplaceAll(listed(t), "\t\telements = { 192.0.2.100 . 6 . 22 timeout 3600s }\n", "")
			if diff := cmp.Diff(before, after); diff != "" {
				t.Errorf("after the repair (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTableOfAVersionThatDidNotCount: it is made anew, once.
func TestTableOfAVersionThatDidNotCount(t *testing.T) {
	k := realKernel(t)
	mustDo(t, k, everything())
	before := listed(t)
	without := regexp.MustCompile(` counter packets \d+ bytes \d+ :`).ReplaceAllString(
		strings.ReplaceAll(netnstest.Run(t, "nft", "list", "table", "inet", "truepacs"), "\t\tcounter\n", ""), " :")
	saved := filepath.Join(t.TempDir(), "saved")
	if err := os.WriteFile(saved, []byte("delete table inet truepacs\n"+without), 0o600); err != nil {
		t.Fatal(err)
	}
	netnstest.Run(t, "nft", "-f", saved)
	for range 2 {
		k.writes = 0
		mustDo(t, k, everything())
	}
	k.wantWrites(t, 0)
	if diff := cmp.Diff(before, listed(t)); diff != "" {
		t.Errorf("after the repair (-want +got):\n%s", diff)
	}
	counted, err := nft.New(nft.Config{Kernel: k}).Ports(t.Context())
	if err != nil || len(counted) == 0 {
		t.Errorf("ports that count: %v, %v", counted, err)
	}
}

// TestPacketsDoNotAlterTheTable: counters and awaited answers are the kernel's.
func TestPacketsDoNotAlterTheTable(t *testing.T) {
	k := realKernel(t)
	client := newNeighbour(t)
	holdVIPs(t, vip4)
	desired := nft.Desired{Guarded: addresses(vip4)}
	mustDo(t, k, desired)
	if _, err := datagrams(t, vip4, 40123).WriteTo([]byte{1}, address("192.0.2.50", 1123)); err != nil {
		t.Fatal(err)
	}
	client.scan(t, netip.MustParseAddr(vip4), []uint16{1104})
	out := netnstest.Run(t, "nft", "list", "table", "inet", "truepacs")
	if !regexp.MustCompile("counter packets [1-9]").MatchString(out) || !strings.Contains(out, ". 40123 ") {
		t.Fatalf("nothing has changed:\n%s", out)
	}
	k.writes = 0
	mustDo(t, k, desired)
	k.wantWrites(t, 0)
}

// TestPacketsDoNotChangeTheGeneration: what packets add to sets, and what vanishes from there, is no
// change of the rules; what nft writes is one.
func TestPacketsDoNotChangeTheGeneration(t *testing.T) {
	k := realKernel(t)
	newNeighbour(t)
	holdVIPs(t, vip4)
	mustDo(t, k, nft.Desired{Guarded: addresses(vip4)})
	netnstest.Run(t, "nft", "table inet other {\nset s {\ntype ipv4_addr; flags dynamic,timeout; size 10; timeout 100ms; gc-interval 50ms;\n}\n"+
		"chain c {\ntype filter hook output priority 0; update @s { ip daddr }\n}\n}")
	generation := func() uint32 {
		t.Helper()
		n, err := k.Generation(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := generation()
	if _, err := datagrams(t, vip4, 40123).WriteTo([]byte{1}, address("192.0.2.50", 1123)); err != nil {
		t.Fatal(err)
	}
	filled := netnstest.Run(t, "nft", "list ruleset")
	if strings.Count(filled, "192.0.2.50") < 1 || !strings.Contains(filled, ". 40123 ") {
		t.Fatalf("packets have added nothing:\n%s", filled)
	}
	for deadline := time.Now().Add(patience); strings.Contains(netnstest.Run(t, "nft", "list table inet other"), "192.0.2.50"); {
		if time.Now().After(deadline) {
			t.Fatal("the element does not vanish")
		}
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond) // the kernel tidies up some time later
	if after := generation(); after != before {
		t.Errorf("the generation went from %d to %d by packets", before, after)
	}
	netnstest.Run(t, "nft", "add element inet other s { 192.0.2.9 }")
	if generation() == before {
		t.Error("nft has changed a set, and the generation is the same")
	}
}

func TestReadingNothing(t *testing.T) {
	k := realKernel(t)
	table, err := k.Read(t.Context(), "truepacs", director)
	if table != nil || err != nil {
		t.Errorf("got %v, %v", table, err)
	}
}

var _ nft.Kernel = nft.Netfilter{}
