package wiring

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/netif/forwarding"
	"github.com/truepacs/balancer/dataplane/nft"
)

func service(how model.Forwarding, servers ...model.RealServer) model.VirtualService {
	return model.VirtualService{Key: "s", Forwarding: how, Servers: servers}
}

func server(address string, how model.Forwarding) model.RealServer {
	return model.RealServer{Address: netip.MustParseAddr(address), Forwarding: how}
}

func TestForwardingNeed(t *testing.T) {
	inside, lost := "10.0.0.11", "10.9.9.9"
	route := func(a netip.Addr) (string, error) {
		if a.String() == lost {
			return "", errors.New("no route")
		}
		return "eth1", nil
	}
	for name, tc := range map[string]struct {
		service model.VirtualService
		want    forwarding.Need
		fails   bool
	}{
		"direct routing":   {service(model.DirectRouting, server(inside, "")), forwarding.Need{}, false},
		"tunnel":           {service(model.Tunnel, server("2001:db8::1", "")), forwarding.Need{}, false},
		"NAT":              {service(model.NAT, server(inside, "")), forwarding.Need{IPv4: true}, false},
		"SNAT":             {service(model.SNAT, server(inside, "")), forwarding.Need{Interfaces: []string{"eth1"}}, false},
		"SNAT without way": {service(model.SNAT, server(lost, ""), server(inside, "")), forwarding.Need{Interfaces: []string{"eth1"}, Partial: true}, true},
		"IPv6":             {service(model.SNAT, server("2001:db8::1", "")), forwarding.Need{IPv6: true}, false},
		"fallback by NAT":  {service(model.DirectRouting, server("192.0.2.1", ""), server(inside, model.NAT)), forwarding.Need{IPv4: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := forwardingNeed([]model.VirtualService{tc.service}, route)
			if diff := cmp.Diff(tc.want, got); diff != "" || (err != nil) != tc.fails {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
}

// needs notes what is to be forwarded.
type needs struct{ all []forwarding.Need }

func (n *needs) Set(_ context.Context, need forwarding.Need) error {
	n.all = append(n.all, need)
	return nil
}

// TestOneRefusedServiceDoesNotKeepSettingsFromTheHost: of two services the kernel refuses one.
func TestOneRefusedServiceDoesNotKeepSettingsFromTheHost(t *testing.T) {
	good, bad := ipvstest.Web(), ipvstest.Dicom()
	good.Forwarding = model.SNAT
	fake := &ipvs.Fake{Refuse: func(c genl.Change) error {
		if c.Service.Mark == bad.Mark {
			return genl.Refusal(c, syscall.EPERM)
		}
		return nil
	}}
	dir, forward := ipvstest.Sysctls(t), &needs{}
	v := &virtualServer{
		balancer: ipvs.New(ipvs.Config{Kernel: fake, SysctlDir: dir}), forwarding: forward,
		routes: func() func(netip.Addr) (string, error) {
			return func(netip.Addr) (string, error) { return "eth1", nil }
		},
	}
	set := func(want string, refused bool, timeout time.Duration, all ...model.VirtualService) {
		t.Helper()
		items, rest := model.ItemErrors(v.Set(t.Context(), all, model.IPVSTimeouts{TCP: time.Hour}))
		if rest != nil || (items[bad.Key] != nil) != refused {
			t.Errorf("errors %v, %v", items, rest)
		}
		for _, name := range []string{"conntrack", "expire_nodest_conn"} {
			if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || strings.TrimSpace(string(b)) != want {
				t.Errorf("%s is %q, %v, want %s", name, b, err, want)
			}
		}
		if now, _ := fake.Timeouts(t.Context()); now.TCP != timeout {
			t.Errorf("timeouts %+v", now)
		}
	}
	set("1", true, time.Hour, bad, good)
	fake.Missing = true
	set("1", true, time.Hour, bad)
	fake.Missing = false
	set("0", false, 15*time.Minute)
	want := []forwarding.Need{{Interfaces: []string{"eth1"}}, {}, {}}
	if diff := cmp.Diff(want, forward.all); diff != "" {
		t.Errorf("forwarded (-want +got):\n%s", diff)
	}
}

func TestClampsFitIntoTheTunnel(t *testing.T) {
	interfaces := []netif.Interface{{Name: "eth0", MTU: 1500}, {Name: "jumbo", MTU: 9000}, {Name: "tiny", MTU: 60}, {Name: "lo", MTU: 1 << 16 * 2}}
	vip := func(address, name string) model.LoopbackVIP {
		return model.LoopbackVIP{Address: netip.MustParseAddr(address), Interface: name, Forwarding: model.Tunnel}
	}
	got := clamps([]model.LoopbackVIP{
		vip("192.0.2.100", "eth0"), vip("2001:db8::100", "eth0"), vip("192.0.2.101", "jumbo"), vip("192.0.2.102", "tiny"), vip("192.0.2.103", "gone"),
		vip("192.0.2.104", "lo"),
	}, interfaces)
	want := []nft.Clamp{
		{Address: netip.MustParseAddr("192.0.2.100"), MSS: 1440}, {Address: netip.MustParseAddr("2001:db8::100"), MSS: 1400},
		{Address: netip.MustParseAddr("192.0.2.101"), MSS: 8940}, {Address: netip.MustParseAddr("192.0.2.104"), MSS: 65535},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{})); diff != "" {
		t.Errorf("clamps (-want +got):\n%s", diff)
	}
}

// TestConnectionsAreCountedBeforeTheFirstSet runs an agent that starts while a server is in
// Maintenance, on a kernel with an open connection to it: the first pass must see it.
func TestConnectionsAreCountedBeforeTheFirstSet(t *testing.T) {
	fake := &ipvs.Fake{}
	fake.SetConnections(procfs.Connection{
		Protocol: "TCP", Client: netip.MustParseAddrPort("198.51.100.9:40000"), Virtual: netip.MustParseAddrPort("192.0.2.100:104"),
		Destination: netip.MustParseAddrPort("192.0.2.11:104"), State: "ESTABLISHED",
	})
	v := &virtualServer{balancer: ipvs.New(ipvs.Config{Kernel: fake})}
	services := []model.VirtualService{{
		Key: "s", Mark: 1, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100")}, Protocol: model.TCP, Ports: []uint16{104},
		Servers: []model.RealServer{{Name: "a", Address: netip.MustParseAddr("192.0.2.11"), State: model.Maintenance}},
	}}
	now := time.Now()
	tally := drain.Memory{}.Tally(services, now)
	if err := v.EachConnection(t.Context(), services, tally.Add); err != nil {
		t.Fatal(err)
	}
	r := drain.Decide(services, tally, drain.Memory{}, now)
	if s := r.Statuses[drain.Key{Service: "s", Server: "a"}]; s.Phase != drain.Resetting || s.Connections != 1 || len(r.Resets) != 1 {
		t.Errorf("%+v with %d resets: the connection is not seen", s, len(r.Resets))
	}
}
