package translate_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/schema"
	"github.com/truepacs/balancer/internal/translate"
)

// TestExamplesOfTheGuideWork holds the examples of the guide to layer 4 services against the CRD and a
// director's translation.
func TestExamplesOfTheGuideWork(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "guides", "layer4-services.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, frame, _ := strings.Cut(string(text), "```\n")
	frame, rest, _ := strings.Cut(frame, "  # the example goes here")
	examples := strings.Split(rest, "```yaml\n")[1:]
	if len(examples) < 5 {
		t.Fatalf("%d examples in the guide", len(examples))
	}
	validator, err := schema.New()
	if err != nil {
		t.Fatal(err)
	}
	for i, example := range examples {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			body, _, _ := strings.Cut(example, "```")
			raw, err := yaml.YAMLToJSON([]byte(frame + "  " + strings.ReplaceAll(strings.TrimSpace(body), "\n", "\n  ")))
			if err != nil {
				t.Fatal(err)
			}
			obj, errs := validator.Decode(raw)
			if len(errs) > 0 {
				t.Fatal(errs.ToAggregate())
			}
			accepted(t, obj)
		})
	}
}

func accepted(t *testing.T, obj *v1alpha1.TruePACSBalancer) {
	t.Helper()
	mode := translate.Cluster
	in := translate.Input{
		Node: translate.Node{Name: "lb1", Mode: mode, Interfaces: []translate.Interface{{
			Name: "eth0", Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.2/24")}, MTU: 1500, Up: true,
		}}},
		Nodes:     []translate.NodeInfo{{Name: "lb1", Labels: map[string]string{v1alpha1.DirectorLabel: "true"}}},
		Balancers: []*v1alpha1.TruePACSBalancer{obj},
		Endpoints: map[types.NamespacedName][]translate.ServiceEndpoint{
			{Namespace: "imaging", Name: "orthanc"}: {{Name: "orthanc-0", Address: netip.MustParseAddr("198.51.100.7"), Ports: map[string]uint16{"dicom": 4242}, Ready: true}},
		},
	}
	got := translate.Translate(in)
	result := got.Balancers[types.NamespacedName{Namespace: obj.Namespace, Name: obj.Name}]
	for _, c := range result.Conditions {
		if c.Status != "True" {
			t.Errorf("%+v", c)
		}
		t.Logf("%+v", c)
	}
	if len(got.Node.Services) == 0 {
		t.Error("no service")
	}
}
