package prove_test

import (
	"strconv"
	"strings"
	"testing"
)

const autoloadRounds = 20

// TestProveAutoload: with CAP_NET_ADMIN alone, so without the right to load a
// module, asking generic netlink for the family IPVS has the kernel load ip_vs; a
// service its scheduler; a table nf_tables, a rule its expressions.
func TestProveAutoload(t *testing.T) {
	w := newWorld(t)
	if got := run(t, w.director, with(onlyNetAdmin, "probe", "caps")...); got != capNetAdmin {
		t.Fatalf("capabilities are %s", got)
	}
	if _, status := try(t, w.director, with(onlyNetAdmin, "modprobe", "dummy")...); status == 0 {
		t.Fatal("modprobe works with CAP_NET_ADMIN alone: the test drops too little")
	}
	t.Run("family", func(t *testing.T) { proveFamily(t, w) })
	t.Run("schedulers", func(t *testing.T) { proveSchedulers(t, w) })
	t.Run("nf_tables", func(t *testing.T) { proveNFTables(t, w) })
}

func proveFamily(t *testing.T, w world) {
	for range autoloadRounds {
		if loaded(t, w.director, "ip_vs") {
			t.Fatal("ip_vs is loaded before it was asked for")
		}
		run(t, w.director, with(onlyNetAdmin, "probe", "family", "IPVS")...)
		if !loaded(t, w.director, "ip_vs") {
			t.Fatal("ip_vs is not loaded")
		}
		run(t, w.director, "modprobe", "-r", "ip_vs")
	}
	verdict(t, autoloadRounds, "generic netlink's GETFAMILY for IPVS loads ip_vs with CAP_NET_ADMIN alone")
	_, status := try(t, w.director, with(nobody, "probe", "family", "IPVS")...)
	t.Logf("without any capability and as nobody: exit %d, ip_vs loaded: %v", status, loaded(t, w.director, "ip_vs"))
}

func proveSchedulers(t *testing.T, w world) {
	schedulers := []string{"rr", "wrr", "lc", "wlc", "sh", "mh", "sed", "nq", "fo", "ovf"}
	for mark, scheduler := range schedulers {
		module := "ip_vs_" + scheduler
		if loaded(t, w.director, module) {
			t.Errorf("%s is loaded before it was asked for", module)
		}
		run(t, w.director, with(onlyNetAdmin, "ipvsadm", "-A", "-f", strconv.Itoa(mark+1), "-s", scheduler)...)
		if !loaded(t, w.director, module) {
			t.Errorf("%s is not loaded", module)
		}
	}
	verdict(t, len(schedulers), "a service loads its scheduler: %s", strings.Join(schedulers, " "))
}

func proveNFTables(t *testing.T, w world) {
	if loaded(t, w.director, "nf_tables") {
		t.Error("nf_tables is loaded before it was asked for")
	}
	steps := map[string][]string{
		"nf_tables": {
			"add table inet a; add chain inet a c { type filter hook input priority 0; }; add table arp b; add chain arp b c { type filter hook output priority 0; }",
		},
		"nft_ct": {"add table inet c; add chain inet c c { type filter hook input priority 0; }; add rule inet c c ct state new accept"},
	}
	for _, module := range []string{"nf_tables", "nft_ct"} {
		run(t, w.director, with(onlyNetAdmin, append([]string{"nft"}, steps[module]...)...)...)
		if !loaded(t, w.director, module) {
			t.Errorf("%s is not loaded", module)
		}
	}
	verdict(t, len(steps), "the families inet and arp load nf_tables, a rule loads its expression")
}
