package translate_test

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/testutil/mutate"
	"github.com/truepacs/balancer/internal/translate"
)

// mutations of each sample; eight samples make 6,400.
const mutations = 800

// TestMutations throws mutations of the samples at the schema and at Translate. What the schema
// takes is programmed or refused by a condition that says something, what worked before goes on,
// and what comes out can be carried out.
func TestMutations(t *testing.T) {
	v, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"radiology.yaml", "viewer.yaml", "l4-nat.yaml", "l4-snat.yaml", "check-program.yaml", "l4-tunnel.yaml", "udp.yaml", "ipv6.yaml"} {
		sample := readSample(t, file)
		good, errs := v.Object(copied(t, sample))
		if len(errs) > 0 {
			t.Fatal(errs.ToAggregate())
		}
		past := translate.Translate(sampleInput(t, good, nil))
		for _, c := range past.Balancers[types.NamespacedName{Namespace: good.Namespace, Name: good.Name}].Conditions {
			if c.Status != "True" {
				t.Fatalf("%s: the sample is refused: %+v", file, c)
			}
		}
		var taken, refused int
		for seed := range uint64(mutations) {
			m := mutate.Object(sample, seed)
			obj, errs := v.Object(copied(t, m.Object))
			if len(errs) > 0 {
				continue
			}
			taken++
			in := sampleInput(t, obj, past.Kept)
			refused += checkMutation(t, fmt.Sprintf("%s, seed %d (%s)", file, seed, m.Description), in)
		}
		if taken < mutations/10 || refused < taken/20 {
			t.Errorf("%s: %d of %d mutations pass the schema, %d of these have a refused service: they prove nothing", file, taken, mutations, refused)
		}
		t.Logf("%s: %d of %d pass the schema, %d of these have a refused service", file, taken, mutations, refused)
	}
}

// checkMutation returns 1 if a service is refused.
func checkMutation(t *testing.T, what string, in translate.Input) (refused int) {
	t.Helper()
	result := translate.Translate(in)
	checkNode(t, what, in, result)
	for _, b := range result.Balancers {
		if b.Director != in.Node.Name {
			continue
		}
		for i, s := range b.Services {
			if good(s.Conditions) {
				checkProgrammed(t, what, in.Balancers[0].Spec.VirtualServices[i], s, result)
				continue
			}
			refused = 1
			checkRefused(t, what, s, in, result)
		}
	}
	in.Previous = stored(t, result.Kept)
	if first, again := asJSON(t, result.Node), asJSON(t, translate.Translate(in).Node); first != again {
		t.Errorf("%s: a second translation differs:\n%s", what, cmp.Diff(first, again))
	}
	return refused
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// good tells whether nothing is refused; how long certificates last is another matter.
func good(conditions []translate.Condition) bool {
	return !slices.ContainsFunc(conditions, refusedIn)
}

func refusedIn(c translate.Condition) bool {
	return c.Status != "True" && c.Type != v1alpha1.ConditionCertificatesValid
}

func checkProgrammed(t *testing.T, what string, spec v1alpha1.VirtualService, s translate.ServiceResult, r translate.Result) {
	t.Helper()
	k := r.Kept[s.Key]
	same := len(k.Ports) == len(spec.Ports) && len(k.PortRanges) == len(spec.PortRanges) && (len(k.Ports) == 0 || int32(k.Ports[0]) == spec.Ports[0])
	if s.KeptLastGood || !same || len(s.Servers) == 0 || (s.ModelKey == "") == (spec.Layer7 == nil) {
		t.Errorf("%s: service %s is accepted and not programmed as its spec says: %+v", what, s.Name, s)
	}
}

func checkRefused(t *testing.T, what string, s translate.ServiceResult, in translate.Input, r translate.Result) {
	t.Helper()
	for _, c := range s.Conditions {
		if refusedIn(c) && (c.Reason == "" || !strings.Contains(c.Message, "spec.") || !strings.Contains(c.Message, "Until then") || len(c.Message) > 4096) {
			t.Errorf("%s: service %s: condition %+v", what, s.Name, c)
		}
	}
	before, had := in.Previous[s.Key]
	if !had {
		return
	}
	now := r.Kept[s.Key]
	if !s.KeptLastGood || !cmp.Equal(before.Ports, now.Ports) || !cmp.Equal(before.PortRanges, now.PortRanges) || len(now.Addresses) != len(before.Addresses) {
		t.Errorf("%s: the last good state of %s is lost: %+v", what, s.Name, now)
	}
}

// checkNode: what a node is told can be carried out.
func checkNode(t *testing.T, what string, in translate.Input, r translate.Result) {
	t.Helper()
	held := map[netip.Addr]bool{}
	for _, v := range r.Node.VirtualIPs {
		if held[v.Address] || v.Interface == "" || v.Address == netip.MustParseAddr("192.0.2.2") || v.Address == in.Node.Gateways[0] {
			t.Errorf("%s: address %+v", what, v)
		}
		held[v.Address] = true
	}
	taken := map[string]string{}
	claim := func(ap netip.AddrPort, protocol model.Protocol, key string) {
		at := ap.String() + string(protocol)
		if taken[at] != "" || !held[ap.Addr()] || ap.Port() == 0 {
			t.Errorf("%s: %s of %s: taken by %q, held %v", what, at, key, taken[at], held[ap.Addr()])
		}
		taken[at] = key
	}
	targets := map[string]model.Target{}
	for _, target := range append(slices.Clone(r.Node.Targets), r.Node.Proxy.Targets...) {
		targets[target.Key] = target
		if len(target.Checks) == 0 || target.Checks[0].Port == 0 {
			t.Errorf("%s: target %+v cannot be checked", what, target)
		}
	}
	checkServices(t, what, in, r, targets, claim)
	checkProxy(t, what, r, targets, claim)
}

type claimFunc func(netip.AddrPort, model.Protocol, string)

// checkServices: marks are distinct but for the families of one service, servers are of the
// service's family and can be reached in their mode, nothing overlaps.
func checkServices(t *testing.T, what string, in translate.Input, r translate.Result, targets map[string]model.Target, claim claimFunc) {
	t.Helper()
	type key struct {
		mark uint32
		ipv6 bool
	}
	marks, keys := map[key]bool{}, map[uint32]string{}
	for _, s := range r.Node.Services {
		at := key{s.Mark, s.IPv6()}
		if marks[at] || s.Mark == 0 || (keys[s.Mark] != "" && keys[s.Mark] != s.Key) || len(s.Servers) == 0 {
			t.Errorf("%s: service %+v", what, s)
		}
		marks[at], keys[s.Mark] = true, s.Key
		for _, srv := range s.Servers {
			checkServer(t, what, in, s, srv, targets)
		}
		for _, m := range s.Matches() {
			claimAll(t, what, m, s, claim)
		}
		if p := s.Persistence; p != nil && (p.PrefixLength < 1 || p.PrefixLength > s.Addresses[0].BitLen() || s.OnePacket) {
			t.Errorf("%s: persistence %+v of %s", what, p, s.Key)
		}
	}
}

func checkServer(t *testing.T, what string, in translate.Input, s model.VirtualService, srv model.RealServer, targets map[string]model.Target) {
	t.Helper()
	way := wayTo(srv.Forwarding, s.Forwarding)
	keeps := way == model.DirectRouting || way == model.Tunnel
	_, checked := targets[srv.Target]
	switch {
	case srv.Address.Is6() != s.IPv6(), keeps && srv.Port != 0, checked == (srv.State == model.Maintenance), srv.MinConnections > srv.MaxConnections:
		t.Errorf("%s: server %+v of %s", what, srv, s.Key)
	case way == model.DirectRouting && !slices.ContainsFunc(in.Node.Interfaces[0].Addresses, func(p netip.Prefix) bool { return p.Contains(srv.Address) }):
		t.Errorf("%s: server %+v of %s is off the segment", what, srv, s.Key)
	}
}

func wayTo(own, service model.Forwarding) model.Forwarding {
	if own == "" {
		return service
	}
	return own
}

func claimAll(t *testing.T, what string, m model.Match, s model.VirtualService, claim claimFunc) {
	t.Helper()
	for _, addr := range m.Addresses {
		if addr.Is6() != s.IPv6() {
			t.Errorf("%s: %s among the addresses of %s", what, addr, s.Key)
		}
		for _, port := range m.Ports {
			claim(netip.AddrPortFrom(addr, port), m.Protocol, s.Key)
		}
		for _, r := range m.PortRanges {
			// Ends and some ports between them: a range has up to 65535.
			for port := int(r.First); port <= int(r.Last); port += max(1, int(r.Last-r.First)/64) {
				claim(netip.AddrPortFrom(addr, uint16(port)), m.Protocol, s.Key)
			}
		}
	}
}

func checkProxy(t *testing.T, what string, r translate.Result, targets map[string]model.Target, claim claimFunc) {
	t.Helper()
	pools := map[string]bool{}
	for _, p := range r.Node.Proxy.Pools {
		pools[p.Name] = len(p.Servers) > 0
		for _, srv := range p.Servers {
			if _, has := targets[p.Name+"/"+srv.Name]; !has {
				t.Errorf("%s: server %s of pool %s has no usable target", what, srv.Name, p.Name)
			}
		}
	}
	for _, l := range r.Node.Proxy.Listeners {
		claim(l.Address, model.TCP, l.Name)
		for _, route := range l.Routes {
			if !pools[route.Pool] || len(route.PathPrefixes) == 0 {
				t.Errorf("%s: listener %s: route %+v", what, l.Name, route)
			}
		}
		if !pools[l.Pool] || (l.TLS != nil && len(l.TLS.Certificates) == 0) {
			t.Errorf("%s: listener %s has no pool or no certificate", what, l.Name)
		}
	}
}

func sampleInput(t *testing.T, b *v1alpha1.TruePACSBalancer, previous map[string]translate.Kept) translate.Input {
	t.Helper()
	pair := translate.Secret{Found: true, CertPEM: certFile(t, "viewer.crt"), KeyPEM: certFile(t, "viewer.key")}
	return translate.Input{
		Node: translate.Node{
			Name: "lb1", Mode: translate.Host, Gateways: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
			Interfaces: []translate.Interface{{Name: "eth0", Up: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::2/64")}}},
		},
		Balancers: []*v1alpha1.TruePACSBalancer{b},
		Secrets:   map[types.NamespacedName]translate.Secret{{Namespace: b.Namespace, Name: "viewer-tls"}: pair},
		Previous:  previous,
	}
}

// readSample returns the TruePACSBalancer of a sample file.
func readSample(t *testing.T, name string) map[string]any {
	t.Helper()
	text, err := os.ReadFile("../../config/samples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range strings.Split(string(text), "\n---\n") {
		raw, err := yaml.YAMLToJSONStrict([]byte(doc))
		if err != nil {
			t.Fatal(err)
		}
		var obj map[string]any
		if err := json.Unmarshal(raw, &obj); err != nil {
			t.Fatal(err)
		}
		if obj["kind"] == "TruePACSBalancer" {
			return obj
		}
	}
	t.Fatalf("%s holds no TruePACSBalancer", name)
	return nil
}

func copied(t *testing.T, obj map[string]any) map[string]any {
	t.Helper()
	raw, err := json.Marshal(obj)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
