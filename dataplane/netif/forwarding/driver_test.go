package forwarding_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/netif/forwarding"
)

// host is a folder like /proc/sys/net.
type host struct{ dir, record string }

func newHost(t *testing.T) *host {
	t.Helper()
	h := &host{t.TempDir(), filepath.Join(t.TempDir(), "forwarding.json")}
	for path, value := range fresh() {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(h.dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		h.put(t, path, value)
	}
	return h
}

func fresh() map[string]string {
	return map[string]string{
		"ipv4/ip_forward": "0", "ipv4/conf/eth0/forwarding": "0", "ipv4/conf/eth1/forwarding": "0",
		"ipv6/conf/all/forwarding": "0", "ipv6/conf/eth0/accept_ra": "1", "ipv6/conf/eth1/accept_ra": "0",
		"ipv6/conf/default/accept_ra": "1",
	}
}

func (h *host) put(t *testing.T, path, value string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(h.dir, path), []byte(value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// set calls a fresh driver each time, as after a restart.
func (h *host) set(t *testing.T, need forwarding.Need) {
	t.Helper()
	d := forwarding.New(forwarding.Config{Dir: h.dir, RecordPath: h.record, Boot: "now"})
	if err := d.Set(t.Context(), need); err != nil {
		t.Fatal(err)
	}
}

// changed are the settings that are not as at first.
func (h *host) changed(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for path, value := range fresh() {
		b, err := os.ReadFile(filepath.Join(h.dir, path))
		if err != nil {
			t.Log(err)
		}
		if now := strings.TrimSpace(string(b)); now != value {
			out[path] = now
		}
	}
	return out
}

func TestForwardingIsSetAndGivenBack(t *testing.T) {
	for name, tc := range map[string]struct {
		need forwarding.Need
		want map[string]string
	}{
		"SNAT opens the servers' side only": {forwarding.Need{Interfaces: []string{"eth1", "eth1"}}, map[string]string{"ipv4/conf/eth1/forwarding": "1"}},
		"NAT makes the host a router":       {forwarding.Need{IPv4: true, Interfaces: []string{"eth1"}}, map[string]string{"ipv4/ip_forward": "1", "ipv4/conf/eth1/forwarding": "1"}},
		"IPv6 keeps listening to routers":   {forwarding.Need{IPv6: true}, map[string]string{"ipv6/conf/all/forwarding": "1", "ipv6/conf/eth0/accept_ra": "2"}},
		"nothing":                           {forwarding.Need{}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			for range 2 {
				h.set(t, tc.need)
				if diff := cmp.Diff(tc.want, h.changed(t)); diff != "" {
					t.Errorf("changed (-want +got):\n%s", diff)
				}
			}
			h.set(t, forwarding.Need{})
			if diff := cmp.Diff(map[string]string{}, h.changed(t)); diff != "" {
				t.Errorf("left behind (-want +got):\n%s", diff)
			}
		})
	}
}

func TestForwardingOfOthersStays(t *testing.T) {
	h := newHost(t)
	h.put(t, "ipv4/ip_forward", "1")
	h.set(t, forwarding.Need{IPv4: true, IPv6: true})
	h.put(t, "ipv6/conf/eth0/accept_ra", "0") // by the administrator, meanwhile
	h.set(t, forwarding.Need{})
	want := map[string]string{"ipv4/ip_forward": "1", "ipv6/conf/eth0/accept_ra": "0"}
	if diff := cmp.Diff(want, h.changed(t)); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}

func TestForwardingSurvivesItsRecord(t *testing.T) {
	h := newHost(t)
	if err := os.WriteFile(h.record, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.set(t, forwarding.Need{IPv4: true})
	if diff := cmp.Diff(map[string]string{"ipv4/ip_forward": "1"}, h.changed(t)); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(h.record + ".damaged"); err != nil {
		t.Error(err)
	}
}

func TestForwardingThatCannotBeWrittenSaysWhatToDo(t *testing.T) {
	h := newHost(t)
	if err := os.Remove(filepath.Join(h.dir, "ipv4/ip_forward")); err != nil {
		t.Fatal(err)
	}
	d := forwarding.New(forwarding.Config{Dir: h.dir, RecordPath: h.record})
	err := d.Set(t.Context(), forwarding.Need{IPv4: true, IPv6: true})
	if err == nil || !strings.Contains(err.Error(), "net/ipv4/ip_forward=1") || !strings.Contains(err.Error(), "/etc/sysctl.d") {
		t.Errorf("got %v", err)
	}
	if h.changed(t)["ipv6/conf/all/forwarding"] != "1" {
		t.Error("one setting that fails stopped the other")
	}
}

// TestRoutersKeepIgnoringAdvertisements: whoever forwards IPv6 on purpose ignores router
// advertisements, which accept_ra=2 would end.
func TestRoutersKeepIgnoringAdvertisements(t *testing.T) {
	for name, tc := range map[string]struct {
		router string
		want   map[string]string
	}{
		"the host":         {"ipv6/conf/all/forwarding", map[string]string{"ipv6/conf/all/forwarding": "1"}},
		"an interface":     {"ipv6/conf/eth0/forwarding", map[string]string{"ipv6/conf/all/forwarding": "1"}},
		"another":          {"ipv6/conf/eth1/forwarding", map[string]string{"ipv6/conf/all/forwarding": "1", "ipv6/conf/eth0/accept_ra": "2"}},
		"nobody, at first": {"", map[string]string{"ipv6/conf/all/forwarding": "1", "ipv6/conf/eth0/accept_ra": "2"}},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			for _, name := range []string{"eth0", "eth1"} {
				h.put(t, "ipv6/conf/"+name+"/forwarding", "0")
			}
			if tc.router != "" {
				h.put(t, tc.router, "1")
			}
			for range 2 {
				h.set(t, forwarding.Need{IPv6: true})
				if diff := cmp.Diff(tc.want, h.changed(t)); diff != "" {
					t.Errorf("changed (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// TestInterfacesThatComeLaterKeepListening: the host forwards because of us by then.
func TestInterfacesThatComeLaterKeepListening(t *testing.T) {
	h := newHost(t)
	h.set(t, forwarding.Need{IPv6: true})
	h.put(t, "ipv6/conf/eth1/accept_ra", "1")
	h.set(t, forwarding.Need{IPv6: true})
	if got := h.changed(t)["ipv6/conf/eth1/accept_ra"]; got != "2" {
		t.Errorf("accept_ra is %q", got)
	}
}

func TestNothingIsGivenBackWhileAWayIsUnknown(t *testing.T) {
	h := newHost(t)
	h.set(t, forwarding.Need{Interfaces: []string{"eth0"}})
	h.set(t, forwarding.Need{Interfaces: []string{"eth1"}, Partial: true})
	want := map[string]string{"ipv4/conf/eth0/forwarding": "1", "ipv4/conf/eth1/forwarding": "1"}
	if diff := cmp.Diff(want, h.changed(t)); diff != "" {
		t.Errorf("while a route is missing (-want +got):\n%s", diff)
	}
	h.set(t, forwarding.Need{Interfaces: []string{"eth1"}})
	if diff := cmp.Diff(map[string]string{"ipv4/conf/eth1/forwarding": "1"}, h.changed(t)); diff != "" {
		t.Errorf("after that (-want +got):\n%s", diff)
	}
}
