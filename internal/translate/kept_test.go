package translate_test

import (
	"encoding/json"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/testutil/badspecs"
	"github.com/truepacs/balancer/internal/translate"
)

// keptBefore is the state of a service as the version before layer 4 was complete wrote it.
const keptBefore = `{"default/radiology/dicom": {
  "director": "lb1",
  "addresses": [{"name": "main", "address": "192.0.2.100", "interface": "eth0"}],
  "ports": [104, 11112],
  "layer4": {"key": "default/radiology/dicom", "mark": 1420000001, "addresses": ["192.0.2.100"], "protocol": "TCP",
    "ports": [104, 11112], "forwarding": "DirectRouting", "scheduler": "wlc",
    "persistence": {"timeout": 300000000000, "prefixLength": 32}, "servers": null},
  "pools": [{"name": "archive", "servers": [{"name": "pacs-a", "address": "192.0.2.11"}, {"name": "pacs-b", "address": "192.0.2.12", "weight": 7}]}]
}}`

// TestStateOfTheVersionBefore: what was written before an upgrade goes on unchanged although the
// spec is refused by a rule that is new, and its mark stands.
func TestStateOfTheVersionBefore(t *testing.T) {
	var before map[string]translate.Kept
	if err := json.Unmarshal([]byte(keptBefore), &before); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		edits   badspecs.Edits
		servers int
		kept    bool
	}{
		"off the segment": {badspecs.Edits{"spec.serverPools[0].servers[0].address": "203.0.113.9"}, 2, true},
		"no port":         {badspecs.Edits{badspecs.L4 + ".ports": badspecs.Drop{}}, 2, true},
		"accepted":        {badspecs.Edits{}, 2, false},
		"another mode":    {badspecs.Edits{badspecs.L4 + ".mode": "L4NAT"}, 2, false},
	} {
		t.Run(name, func(t *testing.T) {
			b := typed(t, badspecs.Object(tc.edits))
			result := translate.Translate(sampleInput(t, b, before))
			var svc *model.VirtualService
			for i := range result.Node.Services {
				svc = &result.Node.Services[i]
			}
			if svc == nil || len(result.Node.Services) != 1 {
				t.Fatalf("services: %+v", result.Node.Services)
			}
			if svc.Mark != 1420000001 || len(svc.Servers) != tc.servers || svc.Persistence.PrefixLength != 32 || len(svc.Ports) != 2 {
				t.Errorf("%+v", svc)
			}
			s := result.Balancers[types.NamespacedName{Namespace: "default", Name: "radiology"}].Services[0]
			if s.KeptLastGood != tc.kept || s.ModelKey != "default/radiology/dicom" {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TestDrainAndFailbackAreRemembered: with the service, for those who carry it out.
func TestDrainAndFailbackAreRemembered(t *testing.T) {
	b := typed(t, badspecs.Object(badspecs.Edits{
		badspecs.L4 + ".layer4":                 badspecs.Block{"scheduler": "WeightedFailover", "failback": badspecs.Block{"holdDownSeconds": int64(60)}, "drainTimeoutSeconds": int64(600)},
		"spec.serverPools[0].servers[0].weight": int64(7),
	}))
	k := translate.Translate(sampleInput(t, b, nil)).Kept["default/radiology/dicom"]
	if k.Layer4.DrainTimeout.Seconds() != 600 || k.Layer4.HoldDown.Seconds() != 60 {
		t.Errorf("drain %s, failback %s", k.Layer4.DrainTimeout, k.Layer4.HoldDown)
	}
}
