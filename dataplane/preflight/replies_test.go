package preflight

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/truepacs/balancer/dataplane/model"
)

func TestRepliesThatDoNotComeBack(t *testing.T) {
	a := Route{"ns/b/nat", serverA}
	lost := map[string][]netip.Addr{"ns/b/nat": {serverA}}
	for name, tc := range map[string]struct {
		seen []Traffic
		want map[string][]netip.Addr // after the last
	}{
		"nothing to answer":         {[]Traffic{{0, 0}, {0, 0}}, nil},
		"answers":                   {[]Traffic{{0, 0}, {100, 50}, {200, 100}}, nil},
		"a first packet":            {[]Traffic{{0, 0}, {7, 0}}, nil},
		"no answer":                 {[]Traffic{{0, 0}, {7, 0}, {8, 0}}, lost},
		"no answer any more":        {[]Traffic{{0, 0}, {100, 50}, {108, 50}}, lost},
		"answers again":             {[]Traffic{{0, 0}, {100, 0}, {108, 1}}, nil},
		"quiet after an answer":     {[]Traffic{{0, 0}, {100, 50}, {100, 50}, {100, 50}}, nil},
		"known since a while":       {[]Traffic{{1000, 0}}, nil},
		"programmed anew meanwhile": {[]Traffic{{1000, 500}, {20, 500}, {21, 500}}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var r Replies
			var got map[string][]netip.Addr
			for _, traffic := range tc.seen {
				got = r.Unanswered(map[Route]Traffic{a: traffic})
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{})); diff != "" {
				t.Errorf("unanswered (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMissingReturnPathIsNamed(t *testing.T) {
	node, facts := director(), well()
	node.Services[1].Protocol = model.TCP
	facts.Unanswered = map[string][]netip.Addr{"ns/b/nat": {serverA}, "ns/b/dicom": {serverA}}
	found := Judge(node, facts)
	if len(found) != 1 || found[0].Key != "ns/b/nat" || found[0].Reason != ReasonReturnPathMissing || !strings.Contains(found[0].Message, "role: Gateway") {
		t.Errorf("found %+v", found)
	}
}

// TestGroupOfBothProtocols: the first service of a persistence group need not be the one of TCP.
func TestGroupOfBothProtocols(t *testing.T) {
	group := model.VirtualService{Protocol: model.UDP, Forwarding: model.NAT, Also: []model.Match{{Protocol: model.TCP}}}
	if !MustAnswer(&group, model.RealServer{}) || MustAnswer(&group, model.RealServer{Forwarding: model.SNAT}) {
		t.Error("a group with a service of TCP")
	}
	if group.Also = nil; MustAnswer(&group, model.RealServer{}) {
		t.Error("UDP alone")
	}
}
