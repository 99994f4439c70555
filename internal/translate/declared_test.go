package translate_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/translate"
)

// served is a balancer with services on one address of each family, of which pacs-a serves some.
func served(name string, change func(*v1alpha1.TruePACSBalancerSpec)) *v1alpha1.TruePACSBalancer {
	b := &v1alpha1.TruePACSBalancer{}
	b.Namespace, b.Name, b.Generation = "default", name, 1
	b.Spec.Directors = &v1alpha1.Directors{Peers: []v1alpha1.DirectorPeer{{Name: "lb1"}}}
	b.Spec.VirtualIPs = []v1alpha1.VirtualIP{{Name: "main", Address: "192.0.2.100"}, {Name: "main6", Address: "2001:db8::100"}}
	b.Spec.ServerPools = []v1alpha1.ServerPool{
		{Name: "a", Servers: []v1alpha1.Server{{Name: "pacs-a", Address: "192.0.2.11"}, {Name: "pacs-a6", Address: "2001:db8::11"}}},
		{Name: "b", Servers: []v1alpha1.Server{{Name: "pacs-b", Address: "192.0.2.12"}}},
	}
	change(&b.Spec)
	return b
}

func onPorts(name, pool string, mode v1alpha1.Mode, ports ...int32) v1alpha1.VirtualService {
	return v1alpha1.VirtualService{Name: name, VirtualIPs: []string{"main"}, Mode: mode, ServerPool: pool, Ports: ports}
}

// declaredOf writes what answers at an address, in order.
func declaredOf(matches []model.Match, address netip.Addr) string {
	var all []string
	for _, m := range matches {
		if !slices.Contains(m.Addresses, address) {
			continue
		}
		for _, p := range m.Ports {
			all = append(all, fmt.Sprintf("%d/%s", p, m.Protocol))
		}
		for _, r := range m.PortRanges {
			all = append(all, fmt.Sprintf("%d-%d/%s", r.First, r.Last, m.Protocol))
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// TestServerDeclaresWhatItServes: a server of several services, of two balancers too, declares the
// ports of all of them at an address, and none of services that it does not serve.
func TestServerDeclaresWhatItServes(t *testing.T) {
	first := served("first", func(s *v1alpha1.TruePACSBalancerSpec) {
		dicom := onPorts("dicom", "a", v1alpha1.ModeL4DR, 104, 11112)
		dicom.VirtualIPs = []string{"main", "main6"}
		syslog := onPorts("syslog", "a", v1alpha1.ModeL4DR, 514)
		syslog.Protocol, syslog.PortRanges = v1alpha1.ProtocolUDP, []v1alpha1.PortRange{{First: 2000, Last: 2010}}
		s.VirtualServices = []v1alpha1.VirtualService{dicom, syslog, onPorts("other", "b", v1alpha1.ModeL4DR, 105), onPorts("viewer", "a", v1alpha1.ModeL7SNAT, 443)}
		s.VirtualServices[3].Layer7 = &v1alpha1.Layer7{Application: v1alpha1.ApplicationTCP}
		s.ServerPools = append(s.ServerPools, v1alpha1.ServerPool{Name: "web", Servers: s.ServerPools[0].Servers[:1]})
		s.VirtualServices[3].ServerPool = "web"
	})
	second := served("second", func(s *v1alpha1.TruePACSBalancerSpec) {
		s.VirtualServices = []v1alpha1.VirtualService{onPorts("hl7", "a", v1alpha1.ModeL4DR, 2575)}
		s.ServerPools[0].Servers = s.ServerPools[0].Servers[:1]
		s.VirtualIPs = s.VirtualIPs[:1]
	})
	for name, tc := range map[string]struct {
		own  string
		want map[string]string
	}{
		"pacs-a": {"11", map[string]string{
			"192.0.2.100": "104/TCP 11112/TCP 2000-2010/UDP 2575/TCP 514/UDP", "2001:db8::100": "104/TCP 11112/TCP",
		}},
		"pacs-b": {"12", map[string]string{"192.0.2.100": "105/TCP"}},
		"ct-1":   {"51", map[string]string{}},
	} {
		result := translate.Translate(hostInput(name, tc.own, first, second))
		got := map[string]string{}
		for _, v := range result.Node.RealServer {
			if len(v.Declared) == 0 {
				t.Errorf("%s: every port of %s answers", name, v.Address)
			}
			got[v.Address.String()] = declaredOf(v.Declared, v.Address)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	director := translate.Translate(hostInput("lb1", "2", first, second)).Node
	if len(director.Proxy.Listeners) != 1 || director.Proxy.Listeners[0].Address.String() != "192.0.2.100:443" || len(director.VirtualIPs) != 2 {
		t.Errorf("the director: %+v, %+v", director.Proxy.Listeners, director.VirtualIPs)
	}
}

func hostInput(name, own string, balancers ...*v1alpha1.TruePACSBalancer) translate.Input {
	return translate.Input{
		Node: translate.Node{Name: name, Mode: translate.Host, Interfaces: []translate.Interface{{Name: "eth0", MTU: 1500, Up: true, Addresses: []netip.Prefix{
			netip.MustParsePrefix("192.0.2." + own + "/24"), netip.MustParsePrefix("2001:db8::" + own + "/64"),
		}}}},
		Balancers: balancers,
	}
}
