//go:build machine

package realserver_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/realserver"
)

// everything is what the driver may touch: settings of all interfaces, and devices and addresses of lo
// and the tunnels. IPv6 settings of the IPv4 tunnel are none of that.
func everything(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	files, err := filepath.Glob("/proc/sys/net/ipv[46]/conf/*/*")
	if err != nil || len(files) < 100 {
		t.Fatalf("%d settings, %v", len(files), err)
	}
	for _, file := range files {
		if strings.HasPrefix(file, "/proc/sys/net/ipv6/conf/tunl0/") {
			continue // the kernel makes them when the device is switched on for the first time
		}
		if b, err := os.ReadFile(file); err == nil { // stable_secret cannot be read before it is set
			all[strings.TrimPrefix(file, "/proc/sys/net/")] = strings.TrimSpace(string(b))
		}
	}
	flags := regexp.MustCompile(`^\d+: ([^:@]+)[^<]*<([^>]*)>`)
	for _, line := range strings.Split(netnstest.Run(t, "ip", "-o", "link"), "\n") {
		if m := flags.FindStringSubmatch(line); m != nil && !strings.HasPrefix(m[1], "tp") {
			all["device "+m[1]] = m[2]
		}
	}
	for _, line := range strings.Split(netnstest.Run(t, "ip", "-o", "address"), "\n") {
		if f := strings.Fields(line); len(f) > 3 && !strings.HasPrefix(f[1], "tp") {
			all["address "+f[1]+" "+f[3]] = strings.Join(f[4:], " ")
		}
	}
	return all
}

// TestTunnelsAreGivenBack has the kernel's own devices. Each call is of a driver that was just started
// and reads the record of the one before.
func TestTunnelsAreGivenBack(t *testing.T) {
	vip4, vip6, direct := vip("192.0.2.100", "tp0"), vip("2001:db8::100", "tp0"), vip("192.0.2.101", "tp1")
	vip4.Forwarding, vip6.Forwarding = model.Tunnel, model.Tunnel
	for name, prepare := range map[string]func(*testing.T){
		"devices that are off": func(*testing.T) {},
		"a device of others": func(t *testing.T) {
			netnstest.Run(t, "ip", "link", "set", "tunl0", "up")
			netnstest.Run(t, "ip", "address", "add", "10.244.0.1/32", "dev", "tunl0")
		},
	} {
		t.Run(name, func(t *testing.T) {
			netnstest.Run(t, "modprobe", "ipip")
			netnstest.Run(t, "modprobe", "ip6_tunnel")
			h := realHost(t)
			prepare(t)
			before := everything(t)
			set := func(all ...model.LoopbackVIP) map[string]string {
				t.Helper()
				for range 2 {
					d := realserver.New(realserver.Config{Kernel: h.Kernel, Sysctls: h.Sysctls, Tunnels: realserver.Rtnetlink{}, RecordPath: h.path})
					if err := d.Set(t.Context(), all); err != nil {
						t.Fatal(err)
					}
				}
				return everything(t)
			}
			all := set(vip4, vip6, direct)
			for what, want := range map[string]string{
				"ipv4/conf/tunl0/rp_filter": "2", "ipv4/conf/tp0/arp_ignore": "1", "ipv4/conf/tp1/arp_announce": "2",
				"device tunl0": "UP", "device ip6tnl0": "UP", "address lo 192.0.2.100/32": "scope host",
				"address tunl0 192.0.2.100/32": "scope host", "address lo 2001:db8::100/128": "scope", "address lo 192.0.2.101/32": "scope host",
			} {
				if !strings.Contains(all[what], want) || all[what] == "" {
					t.Errorf("%s is %q, want %q", what, all[what], want)
				}
			}
			some := set(vip6)
			if got := []string{some["device tunl0"], some["ipv4/conf/tunl0/rp_filter"], some["ipv4/conf/tp0/arp_ignore"]}; !strings.Contains(some["device ip6tnl0"], "UP") ||
				!cmp.Equal(got, []string{before["device tunl0"], before["ipv4/conf/tunl0/rp_filter"], before["ipv4/conf/tp0/arp_ignore"]}) {
				t.Errorf("with one address left: %q, %q", got, some["device ip6tnl0"])
			}
			if diff := cmp.Diff(before, set()); diff != "" {
				t.Errorf("left behind (-before +after):\n%s", diff)
			}
		})
	}
}

// TestTunnelDevicesThatComeWithTheirModule stay, off and without addresses: a module is not unloaded.
// The namespace's own devices, which others may have made, are none of ours.
func TestTunnelDevicesThatComeWithTheirModule(t *testing.T) {
	h := realHost(t)
	v := vip("192.0.2.100", "tp0")
	v.Forwarding = model.Tunnel
	for _, all := range [][]model.LoopbackVIP{{v}, nil} {
		d := realserver.New(realserver.Config{Kernel: h.Kernel, Sysctls: h.Sysctls, Tunnels: realserver.Rtnetlink{}, RecordPath: h.path})
		if err := d.Set(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		after := everything(t)
		_, held := after["address tunl0 192.0.2.100/32"]
		if up := strings.Contains(after["device tunl0"], "UP"); after["device tunl0"] == "" || up != (len(all) > 0) || held != up {
			t.Errorf("with %d addresses tunl0 is %q, holds %v", len(all), after["device tunl0"], held)
		}
	}
}
