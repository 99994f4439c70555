package outside_test

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/realserver/setup"
	"github.com/truepacs/balancer/dataplane/realserver/setup/outside"
)

// canned is a segment in memory.
type canned struct {
	nobody  bool
	holders []net.HardwareAddr
	answers map[uint16]outside.Answer
}

func (c *canned) Resolve(context.Context, netip.Addr) (net.HardwareAddr, error) {
	if c.nobody {
		return nil, announce.ErrNoAnswer
	}
	return net.HardwareAddr{2, 0, 0, 0, 0, 3}, nil
}

func (c *canned) Holders(context.Context, netip.Addr) ([]net.HardwareAddr, error) {
	return c.holders, nil
}

func (c *canned) Knock(_ context.Context, _ net.HardwareAddr, _ netip.Addr, ports []uint16) (map[uint16]outside.Answer, error) {
	got := map[uint16]outside.Answer{}
	for p, a := range c.answers {
		if slices.Contains(ports, p) {
			got[p] = a
		}
	}
	return got, nil
}

var _ outside.Segment = (*canned)(nil)

func specOf(ports ...setup.Ports) setup.Spec {
	return setup.Spec{VIPs: []setup.VIP{{Address: netip.MustParseAddr("192.0.2.100"), Ports: ports}}}
}

func TestInspect(t *testing.T) {
	type answers = map[uint16]outside.Answer
	tests := map[string]struct {
		segment canned
		ports   []setup.Ports
		want    []string
	}{
		"sound":             {canned{answers: answers{104: outside.Open}}, nil, nil},
		"no host":           {canned{nobody: true}, nil, []string{"NothingToInspect"}},
		"silent":            {canned{}, nil, []string{"VIPMissing"}},
		"another answers":   {canned{answers: answers{104: outside.Open}, holders: []net.HardwareAddr{{2, 0, 0, 0, 0, 1}}}, nil, nil},
		"answers ARP":       {canned{answers: answers{104: outside.Open}, holders: []net.HardwareAddr{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 3}}}, nil, []string{"VIPAnswersARP"}},
		"nobody listens":    {canned{answers: answers{104: outside.Closed}}, nil, []string{"NobodyListens"}},
		"SSH answers":       {canned{answers: answers{104: outside.Open, 22: outside.Open}}, nil, []string{"UndeclaredPortsAnswer"}},
		"refuses others":    {canned{answers: answers{104: outside.Open, 47: outside.Closed}}, nil, []string{"UndeclaredPortsAnswer"}},
		"one port dropped":  {canned{answers: answers{104: outside.Open}}, []setup.Ports{{Protocol: model.TCP, First: 104}, {Protocol: model.TCP, First: 105}}, []string{"PortSilent"}},
		"SSH is declared":   {canned{answers: answers{22: outside.Open}}, []setup.Ports{{Protocol: model.TCP, First: 22}}, nil},
		"one of a range":    {canned{answers: answers{2003: outside.Open}}, []setup.Ports{{Protocol: model.TCP, First: 2000, Last: 2010}}, nil},
		"end of all ports":  {canned{answers: answers{65535: outside.Open}}, []setup.Ports{{Protocol: model.TCP, First: 65530, Last: 65535}}, nil},
		"UDP is not judged": {canned{}, []setup.Ports{{Protocol: model.UDP, First: 514}}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.ports == nil {
				tc.ports = []setup.Ports{{Protocol: model.TCP, First: 104}}
			}
			found, err := outside.Inspect(t.Context(), specOf(tc.ports...), netip.MustParseAddr("192.0.2.13"), &tc.segment)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, f.Kind)
				if f.Message == "" || f.Remedy == "" || f.Severity == "" || f.Subject == "" {
					t.Errorf("%+v says too little", f)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTunnelsAreRefused(t *testing.T) {
	spec := specOf(setup.Ports{Protocol: model.TCP, First: 104})
	spec.Method = setup.Tunnel
	if _, err := outside.Inspect(t.Context(), spec, netip.MustParseAddr("192.0.2.13"), &canned{}); !errors.Is(err, outside.ErrTunnel) {
		t.Error(err)
	}
}
