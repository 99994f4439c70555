package explain

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/truepacs/balancer/e2e/suite"
)

// shown is what is looked at of an element of truepacs connections -o json.
type shown struct {
	Service, Server, Protocol, Client, State string
}

// connectionsAndStats holds truepacs connections and stats against ipvsadm and nft, and the metrics
// against stats.
func (w *world) connectionsAndStats(t *testing.T) {
	w.settle(t)
	w.sameConnections(t)
	w.sameStats(t)
}

// sameConnections: as many as ipvsadm lists, and by server and client as many as it lists of those.
func (w *world) sameConnections(t *testing.T) {
	listed := func(grep string) int {
		return strings.Count(w.shell(t, w.director, "ipvsadm -Lnc | tail -n +3 | grep -F '"+grep+"' || true"), "\n")
	}
	for _, tc := range []struct {
		flags []string
		grep  string
	}{
		{nil, ""}, {[]string{"--server", "192.0.2.12"}, "192.0.2.12:"}, {[]string{"--client", "198.18.0.0/16"}, " 198.18."},
	} {
		var all []shown
		before, want := -1, listed(tc.grep)
		for try := 0; before != want && try < 20; try++ { // some expire while both look
			text, err := w.truepacs(t.Context(), append([]string{"connections", "-o", "json", "--limit", "0"}, tc.flags...)...)
			suite.Must(t, err)
			all = nil
			suite.Must(t, json.Unmarshal([]byte(text), &all))
			before, want = want, listed(tc.grep)
		}
		if before != want || len(all) != want || want == 0 {
			t.Errorf("connections %v: %d are shown, ipvsadm lists %d before and %d after", tc.flags, len(all), before, want)
		}
		for _, c := range all {
			if c.State != "Forgotten" && (c.Service == "" || c.Server == "" || c.Client == "" || c.State == "") {
				t.Errorf("connections %v: incomplete: %+v", tc.flags, c)
				break
			}
		}
		suite.Verdict(t, "connections %v: %d, as ipvsadm lists", tc.flags, len(all))
	}
	table, err := w.truepacs(t.Context(), "connections", "--limit", "3")
	suite.Must(t, err)
	if lines := strings.Count(table, "\n"); lines != 4 {
		t.Errorf("with --limit 3:\n%s", table)
	}
}

// figures is what is looked at of truepacs stats -o json.
type figures struct {
	Services []struct {
		Balancer, Name, Family string
		Total                  struct{ Connections, PacketsIn, BytesIn uint64 }
		Rate                   *struct{ PacketsIn float64 }
		Ports                  []struct{ Packets, Bytes uint64 }
		Servers                []struct {
			Name  string
			Total struct{ Connections, PacketsIn, BytesIn uint64 }
		}
	}
	Dropped uint64
}

// sameStats: a service's packets are those that its ports and its servers count, the sum is ipvsadm's,
// and the metrics say the same.
func (w *world) sameStats(t *testing.T) {
	text, err := w.truepacs(t.Context(), "stats", "-o", "json")
	suite.Must(t, err)
	var f figures
	suite.Must(t, json.Unmarshal([]byte(text), &f))
	var connections uint64
	for _, s := range f.Services {
		var byPort, byServer uint64
		for _, p := range s.Ports {
			byPort += p.Packets
		}
		for _, d := range s.Servers {
			byServer += d.Total.PacketsIn
		}
		connections += s.Total.Connections
		// Ports also count what is refused, and what comes for a server that is gone.
		more := s.Name == "down" || s.Name == "ovf" || s.Balancer == "default/hashed"
		if byPort < s.Total.PacketsIn || !more && byPort > s.Total.PacketsIn || byServer > s.Total.PacketsIn || s.Rate == nil {
			t.Errorf("%s/%s %s: %d packets by service, %d by port, %d by server", s.Balancer, s.Name, s.Family, s.Total.PacketsIn, byPort, byServer)
		}
	}
	if want := 2 * (len(services()) + 1); len(f.Services) != want || connections == 0 || f.Dropped == 0 {
		t.Errorf("%d services with %d connections, %d packets dropped; want %d services", len(f.Services), connections, f.Dropped, want)
	}
	sum := w.shell(t, w.director, "ipvsadm -Ln --stats --exact | awk '$1 == \"FWM\" {n += ($3 == \"IPv6\") ? $4 : $3} END {print n}'")
	metrics := w.shell(t, w.director, "curl -sf http://127.0.0.1:9469/metrics | awk '/^truepacs_layer4_service_connections_total/ {n += $2} END {print n}'")
	if sum != metrics || strings.TrimSpace(sum) == "0" {
		t.Errorf("ipvsadm counts %s connections, the metrics %s", sum, metrics)
	}
	if leaked := w.shell(t, w.director, "curl -sf http://127.0.0.1:9469/metrics | grep -c '198[.]18[.]' || true"); strings.TrimSpace(leaked) != "0" {
		t.Errorf("%s lines of the metrics have a client's address", leaked)
	}
	suite.Verdict(t, "%d services, %d connections: ports, servers, ipvsadm and metrics agree", len(f.Services), connections)
}
