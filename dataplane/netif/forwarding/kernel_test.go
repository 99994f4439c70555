package forwarding_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/netif/forwarding"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// router is a host with its own network stack and two interfaces.
type router struct {
	*netnstest.Far
	record string
}

func newRouter(t *testing.T) router {
	t.Helper()
	r := router{netnstest.NewFar(t), filepath.Join(t.TempDir(), "forwarding.json")}
	r.Run(t, "ip", "link", "add", "tp0", "type", "veth", "peer", "name", "tp1")
	r.Run(t, "ip", "link", "set", "tp0", "up")
	r.Run(t, "ip", "link", "set", "tp1", "up")
	return r
}

// put changes settings as an administrator does.
func (r router) put(t *testing.T, pairs ...string) {
	t.Helper()
	var errs []error
	r.Do(func() {
		for _, pair := range pairs {
			name, value, _ := strings.Cut(pair, "=")
			errs = append(errs, os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0))
		}
	})
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// settings are those of the host and of all interfaces, both families.
func (r router) settings(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	r.Do(func() {
		for _, root := range []string{"/proc/sys/net/ipv4", "/proc/sys/net/ipv6"} {
			_ = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
				if err == nil && !entry.IsDir() {
					if b, err := os.ReadFile(path); err == nil { // stable_secret cannot be read before it is set
						all[strings.TrimPrefix(path, "/proc/sys/net/")] = strings.TrimSpace(string(b))
					}
				}
				return nil
			})
		}
	})
	if all["ipv4/ip_forward"] == "" || all["ipv6/conf/tp1/forwarding"] == "" {
		t.Fatalf("%d settings were read: this test sees nothing", len(all))
	}
	return all
}

// set calls a fresh driver, as after a restart.
func (r router) set(t *testing.T, need forwarding.Need) {
	t.Helper()
	var err error
	r.Do(func() {
		d := forwarding.New(forwarding.Config{Dir: "/proc/sys/net", RecordPath: r.record, Boot: "now"})
		err = d.Set(t.Context(), need)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// hardened is what a careful administrator has, and an interface that forwards.
func hardened() []string {
	return []string{
		"ipv4/conf/all/accept_redirects=0", "ipv4/conf/default/accept_redirects=0", "ipv4/conf/tp0/accept_redirects=0",
		"ipv4/conf/all/secure_redirects=0", "ipv4/conf/all/send_redirects=0", "ipv4/conf/all/rp_filter=1",
		"ipv4/conf/tp1/forwarding=1", "ipv6/conf/all/accept_redirects=0", "ipv6/conf/tp1/forwarding=1", "ipv6/conf/tp0/accept_ra=1",
	}
}

// TestTheKernelGetsEverythingBack adds and removes services; all settings are compared.
func TestTheKernelGetsEverythingBack(t *testing.T) {
	for name, tc := range map[string]struct {
		admin []string
		needs []forwarding.Need
	}{
		"NAT on a fresh host":     {nil, []forwarding.Need{{IPv4: true}}},
		"NAT on a hardened host":  {hardened(), []forwarding.Need{{IPv4: true}}},
		"IPv6 on a fresh host":    {nil, []forwarding.Need{{IPv6: true}}},
		"IPv6 on a hardened host": {hardened(), []forwarding.Need{{IPv6: true}}},
		"SNAT on a hardened host": {hardened(), []forwarding.Need{{Interfaces: []string{"tp0", "tp1"}}}},
		"one after the other": {hardened(), []forwarding.Need{
			{Interfaces: []string{"tp0"}}, {Interfaces: []string{"tp0"}, IPv4: true, IPv6: true}, {Interfaces: []string{"tp0"}, IPv6: true}, {IPv4: true},
		}},
		"a router": {[]string{"ipv4/ip_forward=1", "ipv6/conf/all/forwarding=1", "ipv4/conf/all/accept_redirects=1", "ipv4/conf/tp0/forwarding=0"},
			[]forwarding.Need{{IPv4: true, IPv6: true, Interfaces: []string{"tp0"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRouter(t)
			r.put(t, tc.admin...)
			before := r.settings(t)
			for _, need := range tc.needs {
				r.set(t, need)
				during := r.settings(t)
				if need.IPv4 && during["ipv4/ip_forward"] != "1" || need.IPv6 && during["ipv6/conf/all/forwarding"] != "1" {
					t.Fatalf("%+v is not met", need)
				}
				for _, name := range need.Interfaces {
					if during["ipv4/conf/"+name+"/forwarding"] != "1" {
						t.Fatalf("%s does not forward with %+v", name, need)
					}
				}
				r.set(t, need)
				if diff := cmp.Diff(during, r.settings(t)); diff != "" {
					t.Errorf("the second call changed:\n%s", diff)
				}
			}
			r.set(t, forwarding.Need{})
			if diff := cmp.Diff(before, r.settings(t)); diff != "" {
				t.Errorf("left behind (-before +after):\n%s", diff)
			}
		})
	}
}

// TestWhatTheAdministratorChangesMeanwhileStays although the kernel writes it when NAT goes.
func TestWhatTheAdministratorChangesMeanwhileStays(t *testing.T) {
	r := newRouter(t)
	r.put(t, hardened()...)
	r.set(t, forwarding.Need{IPv4: true})
	r.put(t, "ipv4/conf/all/accept_redirects=1", "ipv4/conf/tp1/forwarding=0")
	r.set(t, forwarding.Need{})
	after := r.settings(t)
	got := []string{after["ipv4/ip_forward"], after["ipv4/conf/all/accept_redirects"], after["ipv4/conf/tp1/forwarding"]}
	if diff := cmp.Diff([]string{"0", "1", "0"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
