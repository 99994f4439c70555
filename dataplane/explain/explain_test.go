package explain_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/explain"
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/schedule"
	"github.com/truepacs/balancer/dataplane/model"
)

var (
	vip  = netip.MustParseAddr("192.0.2.100")
	ripA = netip.MustParseAddr("192.0.2.11")
	ripB = netip.MustParseAddr("192.0.2.12")
)

// host is a director with a service of each layer.
func host() *model.Node {
	return &model.Node{
		VirtualIPs: []model.VirtualIP{{Key: "pacs/radiology/main", Address: vip}},
		Services: []model.VirtualService{{
			Key: "pacs/radiology/dicom", Mark: 7, Addresses: []netip.Addr{vip}, Protocol: model.TCP,
			Ports: []uint16{104}, PortRanges: []model.PortRange{{First: 2000, Last: 2010}},
			Forwarding: model.DirectRouting, Scheduler: model.WeightedFailover,
			Also: []model.Match{{Addresses: []netip.Addr{vip}, Protocol: model.UDP, Ports: []uint16{514}}},
			Servers: []model.RealServer{
				{Name: "a", Address: ripA, Weight: 2, Target: "a"}, {Name: "b", Address: ripB, Weight: 1, Target: "b"},
			},
		}},
		Proxy: model.Proxy{
			Listeners: []model.Listener{{
				Service: "pacs/radiology/viewer", Address: netip.AddrPortFrom(vip, 443), Application: model.HTTP,
				Pool: "pacs/radiology/web", Algorithm: model.L7RoundRobin, Cookie: &model.Cookie{Name: "TPSERVER"},
				Routes: []model.Route{{Name: "dicomweb", PathPrefixes: []string{"/dicom-web/"}, Pool: "pacs/radiology/archive"}},
			}},
			Pools: []model.Pool{
				{Name: "pacs/radiology/web", Servers: []model.PoolServer{
					{Name: "w1", Address: netip.AddrPortFrom(ripA, 8042), Weight: 3}, {Name: "w2", Address: netip.AddrPortFrom(ripB, 8042), Weight: 1},
				}},
				{Name: "pacs/radiology/archive", Servers: []model.PoolServer{
					{Name: "x1", Address: netip.AddrPortFrom(ripA, 0), Weight: 1}, {Name: "x2", Address: netip.AddrPortFrom(ripB, 0), Weight: 1},
				}},
			},
		},
	}
}

// now is the kernel's service, with weights of a and b.
func now(a, b int) *ipvs.Scheduling {
	return &ipvs.Scheduling{Names: []string{"b", "a"}, Service: schedule.Service{
		Scheduler: model.WeightedFailover,
		Servers:   []schedule.Server{{Address: netip.AddrPortFrom(ripB, 0), Weight: b}, {Address: netip.AddrPortFrom(ripA, 0), Weight: a}},
	}}
}

func persistent(s *ipvs.Scheduling) *ipvs.Scheduling {
	s.Persistence = &model.Persistence{Timeout: 5 * time.Minute, PrefixLength: 24}
	return s
}

func held(state string, server netip.Addr) ipvs.Connection {
	return ipvs.Connection{
		Key: "pacs/radiology/dicom", Protocol: "TCP", Client: netip.MustParseAddrPort("198.51.100.7:40000"),
		Virtual: netip.AddrPortFrom(vip, 104), Server: netip.AddrPortFrom(server, 104), State: state, Expires: time.Minute,
	}
}

func template(client string, server netip.Addr) ipvs.Connection {
	return ipvs.Connection{
		Key: "pacs/radiology/dicom", Template: true, Protocol: "IP", Client: netip.MustParseAddrPort(client),
		Server: netip.AddrPortFrom(server, 0), State: "NONE", Expires: time.Minute,
	}
}

// outcome is what a test compares of an answer.
func outcome(a explain.Answer) string {
	words := []string{string(a.Outcome)}
	if a.Server != nil {
		words = append(words, a.Server.Name, a.Server.Address.String(), string(a.DecidedBy))
	}
	for _, s := range a.OneOf {
		words = append(words, s.Name)
	}
	return strings.Join(words, " ")
}

func TestDecide(t *testing.T) {
	tunnel := func(n *model.Node) { n.Services[0].Forwarding = model.NAT }
	drain := func(n *model.Node) { n.Services[0].Servers[0].State = model.Drain }
	rest := func(n *model.Node) { n.Services[0].Servers[0].State = model.Maintenance }
	down := map[string]model.Verdict{"a": {Known: true, Message: "connection refused"}}
	for name, tc := range map[string]struct {
		change     func(*model.Node)
		client, to string
		protocol   string
		url        string
		facts      explain.Facts
		want       string
		why        string
	}{
		"by the scheduler":            {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(2, 1)}, want: "Server a 192.0.2.11:104 Scheduler", why: "highest weight"},
		"a range of ports":            {to: "192.0.2.100:2010", facts: explain.Facts{Scheduling: now(2, 1)}, want: "Server a 192.0.2.11:2010 Scheduler"},
		"another part of a group":     {to: "192.0.2.100:514", protocol: "udp", facts: explain.Facts{Scheduling: now(2, 1)}, want: "Server a 192.0.2.11:514 Scheduler"},
		"a server that is down":       {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(0, 1), Verdicts: down}, want: "Server b 192.0.2.12:104 Scheduler", why: "a gets no new connections: it is down: connection refused"},
		"a server that is drained":    {to: "192.0.2.100:104", change: drain, facts: explain.Facts{Scheduling: now(0, 1)}, want: "Server b 192.0.2.12:104 Scheduler", why: "its state is Drain"},
		"drained by its agent":        {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(0, 1), Verdicts: map[string]model.Verdict{"a": {Known: true, Healthy: true, Reason: "AgentDrains", Message: "agent at a: the agent asks"}}}, want: "Server b 192.0.2.12:104 Scheduler", why: "a gets no new connections: agent at a: the agent asks"},
		"in maintenance, as client":   {client: "192.0.2.11", change: rest, to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(0, 1)}, want: "Server a 192.0.2.11:104 Itself"},
		"nobody serves":               {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(0, 0)}, want: "Refused", why: "ICMP port unreachable"},
		"not in the kernel":           {to: "192.0.2.100:104", facts: explain.Facts{Refused: map[string]string{"pacs/radiology/dicom": "no module"}}, want: "NotProgrammed", why: "no module"},
		"a port of nobody":            {to: "192.0.2.100:105", want: "Dropped", why: "spec.virtualServices[].ports"},
		"a protocol of nobody":        {to: "192.0.2.100:104", protocol: "UDP", want: "Dropped"},
		"an address of nobody":        {to: "192.0.2.101:104", want: "Elsewhere"},
		"a server as client":          {client: "192.0.2.12", to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(2, 1)}, want: "Server b 192.0.2.12:104 Itself"},
		"a server as client of NAT":   {client: "192.0.2.12", change: tunnel, to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(2, 1)}, want: "Server a 192.0.2.11:104 Scheduler"},
		"an established connection":   {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(2, 1), Held: []ipvs.Connection{held("ESTABLISHED", ripB)}}, want: "Server b 192.0.2.12:104 Connection"},
		"one of another port":         {client: "198.51.100.7:40001", to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(2, 1), Held: []ipvs.Connection{held("ESTABLISHED", ripB)}}, want: "Server a 192.0.2.11:104 Scheduler"},
		"one that is over":            {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(2, 1), Held: []ipvs.Connection{held("TIME_WAIT", ripB)}}, want: "Server a 192.0.2.11:104 Scheduler", why: "does not bind a new one"},
		"one that ends":               {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(2, 1), Held: []ipvs.Connection{held("FIN_WAIT", ripB)}}, want: "Server a 192.0.2.11:104 Scheduler"},
		"one that ends, by NAT":       {to: "192.0.2.100:104", change: tunnel, facts: explain.Facts{Scheduling: now(2, 1), Held: []ipvs.Connection{held("FIN_WAIT", ripB)}}, want: "Server b 192.0.2.12:104 Connection"},
		"one of a persistent client":  {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: persistent(now(2, 1)), Held: []ipvs.Connection{held("TIME_WAIT", ripB)}}, want: "Server b 192.0.2.12:104 Connection"},
		"one to a drained server":     {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(2, 0), Held: []ipvs.Connection{held("ESTABLISHED", ripB)}}, want: "Server a 192.0.2.11:104 Scheduler"},
		"one to a server that left":   {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: now(2, 1), Held: []ipvs.Connection{held("ESTABLISHED", netip.MustParseAddr("192.0.2.13"))}}, want: "Server a 192.0.2.11:104 Scheduler", why: "the next packet ends it"},
		"a remembered network":        {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: persistent(now(2, 1)), Held: []ipvs.Connection{template("198.51.100.0:0", ripB)}}, want: "Server b 192.0.2.12:104 Persistence", why: "clients of 198.51.100.0/24 are remembered at b for 60 seconds more"},
		"another network":             {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: persistent(now(2, 1)), Held: []ipvs.Connection{template("198.51.99.0:0", ripB)}}, want: "Server a 192.0.2.11:104 Scheduler", why: "no client of 198.51.100.0/24 is remembered"},
		"remembered at a drained":     {to: "192.0.2.100:104", facts: explain.Facts{Scheduling: persistent(now(2, 0)), Held: []ipvs.Connection{template("198.51.100.0:0", ripB)}}, want: "Server a 192.0.2.11:104 Scheduler", why: "takes no new connections"},
		"layer 7, no route":           {to: "192.0.2.100:443", url: "https://pacs/", want: "OneOf w1 w2", why: "route default"},
		"layer 7, a route":            {to: "192.0.2.100:443", url: "/dicom-web/studies?x", want: "OneOf x1 x2", why: "cookie TPSERVER"},
		"layer 7, nearly a route":     {to: "192.0.2.100:443", url: "/dicom-webs", want: "OneOf w1 w2"},
		"layer 7, one server left":    {to: "192.0.2.100:443", facts: explain.Facts{Verdicts: map[string]model.Verdict{"pacs/radiology/web/w1": {Known: true, Message: "404"}}}, want: "Server w2 192.0.2.12:8042 Scheduler", why: "w1 gets no new requests: it is down: 404"},
		"layer 7, a path that climbs": {to: "192.0.2.100:443", url: "/a/%2e%2e/b", want: "Refused", why: ".."},
	} {
		t.Run(name, func(t *testing.T) {
			node := host()
			if tc.change != nil {
				tc.change(node)
			}
			if tc.client == "" {
				tc.client = "198.51.100.7:40000"
			}
			q, err := explain.Ask(tc.client, tc.to, tc.protocol, tc.url)
			if err != nil {
				t.Fatal(err)
			}
			tc.facts.Node = node
			a := explain.Decide(q, explain.Locate(node, q.To, q.Protocol), tc.facts)
			if diff := cmp.Diff(tc.want, outcome(a)); diff != "" {
				t.Errorf("-want +got:\n%s%v", diff, a.Why)
			}
			if !strings.Contains(strings.Join(a.Why, "\n"), tc.why) {
				t.Errorf("why lacks %q: %v", tc.why, a.Why)
			}
			if tc.want != "Elsewhere" && tc.want != "Dropped" && a.Balancer != "pacs/radiology" {
				t.Errorf("balancer %q", a.Balancer)
			}
		})
	}
}

func TestLocatePrefersSinglePorts(t *testing.T) {
	node := &model.Node{Services: []model.VirtualService{
		{Key: "range", Addresses: []netip.Addr{vip}, Protocol: model.TCP, PortRanges: []model.PortRange{{First: 1, Last: 9}}},
		{Key: "single", Addresses: []netip.Addr{vip}, Protocol: model.TCP, Ports: []uint16{5}},
	}}
	for port, want := range map[uint16]string{1: "range", 5: "single", 9: "range"} {
		if p := explain.Locate(node, netip.AddrPortFrom(vip, port), model.TCP); p.Service == nil || p.Service.Key != want {
			t.Errorf("port %d: %+v", port, p.Service)
		}
	}
}

func TestAsk(t *testing.T) {
	for name, tc := range map[string]struct {
		client, to, protocol, url string
		want                      explain.Question
		fails                     string
	}{
		"IPv4":                 {"192.0.2.1", "192.0.2.100:104", "", "", explain.Question{Client: netip.MustParseAddrPort("192.0.2.1:0"), To: netip.MustParseAddrPort("192.0.2.100:104"), Protocol: model.TCP}, ""},
		"IPv6 with port":       {"[2001:db8::1]:5", "[2001:db8::64]:104", "udp", "", explain.Question{Client: netip.MustParseAddrPort("[2001:db8::1]:5"), To: netip.MustParseAddrPort("[2001:db8::64]:104"), Protocol: model.UDP}, ""},
		"IPv6":                 {"2001:db8::1", "[2001:db8::64]:104", "TCP", "/x", explain.Question{Client: netip.MustParseAddrPort("[2001:db8::1]:0"), To: netip.MustParseAddrPort("[2001:db8::64]:104"), Protocol: model.TCP, Path: "/x"}, ""},
		"two families":         {"2001:db8::1", "192.0.2.100:104", "", "", explain.Question{}, "different families"},
		"no port":              {"192.0.2.1", "192.0.2.100", "", "", explain.Question{}, "write ADDRESS:PORT"},
		"port 0":               {"192.0.2.1", "192.0.2.100:0", "", "", explain.Question{}, "write ADDRESS:PORT"},
		"no client":            {"ct-1", "192.0.2.100:1", "", "", explain.Question{}, `client "ct-1"`},
		"a zone":               {"fe80::1%eth0", "[2001:db8::64]:104", "", "", explain.Question{}, "client"},
		"a protocol":           {"192.0.2.1", "192.0.2.100:1", "SCTP", "", explain.Question{}, "write TCP or UDP"},
		"a URL without a host": {"192.0.2.1", "192.0.2.100:1", "", "studies", explain.Question{}, "write a path"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := explain.Ask(tc.client, tc.to, tc.protocol, tc.url)
			if tc.fails != "" {
				if err == nil || !strings.Contains(err.Error(), tc.fails) {
					t.Errorf("%v", err)
				}
				return
			}
			if err != nil || got != tc.want {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}
