package schema_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	runtimeschema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/truepacs/balancer/config/crd/bases"
	"github.com/truepacs/balancer/e2e/cluster/controlplane"
	"github.com/truepacs/balancer/internal/testutil/badspecs"
)

var balancers = runtimeschema.GroupVersionResource{Group: "lb.truepacs.io", Version: "v1alpha1", Resource: "truepacsbalancers"}

// server is a real API server that serves our CustomResourceDefinition.
type server struct {
	objects dynamic.ResourceInterface
}

// startServer fails the test if the API server refuses the definition, for instance because the
// rules cost too much.
func startServer(t *testing.T) server {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	cfg, stop, err := controlplane.StartAPIServer(ctx, controlplane.Options{})
	if err != nil {
		t.Fatalf("start an API server: %v", err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Errorf("stop the API server: %v", err)
		}
	})
	cfg.QPS = -1
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	createDefinition(ctx, t, client)
	s := server{client.Resource(balancers).Namespace(metav1.NamespaceDefault)}
	err = wait.PollUntilContextCancel(ctx, 100*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		_, err := s.objects.List(ctx, metav1.ListOptions{})
		return err == nil, nil
	})
	if err != nil {
		t.Fatalf("the API server does not serve the definition: %v", err)
	}
	return s
}

func createDefinition(ctx context.Context, t *testing.T, client dynamic.Interface) {
	t.Helper()
	var crd unstructured.Unstructured
	if err := yaml.Unmarshal(bases.TruePACSBalancers(), &crd.Object); err != nil {
		t.Fatal(err)
	}
	definitions := client.Resource(runtimeschema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"})
	if _, err := definitions.Create(ctx, &crd, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("the API server refuses the definition: %v", err)
	}
}

// create asks the server to take an object and to keep nothing.
func (s server) create(ctx context.Context, obj block) error {
	_, err := s.objects.Create(ctx, &unstructured.Unstructured{Object: obj},
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
	return err
}

// TestAPIServerAgrees runs the table of bad specs against a real API server: it refuses what we
// refuse and accepts the remedies. One server serves all cases.
func TestAPIServerAgrees(t *testing.T) {
	s := startServer(t)
	for name, tc := range badspecs.All() {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
			defer cancel()
			if err := s.create(ctx, badspecs.Object(tc.Bad)); !refused(err) {
				t.Errorf("the API server does not refuse it: %v", err)
			}
			if err := s.create(ctx, remedied(tc)); err != nil {
				t.Errorf("the API server refuses the remedy: %v", err)
			}
		})
	}
	t.Run("biggest object", func(t *testing.T) { biggestIsAccepted(t, s) })
	t.Run("mutations", func(t *testing.T) { mutationsAgree(t, s) })
	t.Run("samples", func(t *testing.T) { samplesAreAccepted(t, s) })
}

// refused tells a refusal of the object from a failure of the request.
func refused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err)
}

// biggestIsAccepted: what the bounds of the lists allow must not exceed the server's budget for
// rules (PerCallLimit and RuntimeCELCostBudget of k8s.io/apiserver).
func biggestIsAccepted(t *testing.T, s server) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for _, mode := range []string{"L4DR", "L4NAT", "L7SNAT"} {
		if err := s.create(ctx, biggest(mode)); err != nil {
			t.Errorf("%s: %.600v", mode, err)
		}
	}
}

// biggest holds as much as the bounds of the lists allow; every reference is to the last entry.
func biggest(mode string) block {
	var pools, services list
	for i := range 64 {
		p := block{"name": fmt.Sprint("p", i), "servers": manyServers("s", 64), "healthChecks": badspecs.Checks(4), "fallbackServers": manyServers("f", 64)}
		if mode == "L7SNAT" && i == 63 {
			p = block{"name": "p63", "servers": plainServers(64), "healthChecks": badspecs.Checks(4)}
		}
		pools = append(pools, p)
		services = append(services, bigService(mode, i))
	}
	vips := badspecs.ManyVIPs(16)
	vips[15].(block)["address"] = "2001:db8::64"
	return badspecs.Object(badspecs.Edits{"spec": block{"virtualIPs": vips, "serverPools": pools, "virtualServices": services}})
}

func bigService(mode string, i int) block {
	svc := block{"name": fmt.Sprint("s", i), "virtualIPs": list{}, "mode": mode, "ports": badspecs.Ports(16), "serverPool": "p63"}
	for _, v := range badspecs.ManyVIPs(16) {
		svc["virtualIPs"] = append(svc["virtualIPs"].(list), v.(block)["name"])
	}
	if mode != "L7SNAT" {
		svc["portRanges"] = manyRanges(16)
		svc["layer4"] = block{"persistence": block{"clientPrefixLength": int64(64), "group": "all"}}
	} else {
		svc["layer7"] = block{"application": "HTTP", "http": block{"routes": manyRoutes(64)}}
	}
	return svc
}

// manyServers are of both families.
func manyServers(name string, n int) list {
	var out list
	for i := range n {
		address := fmt.Sprint("10.0.0.", i+1)
		if i%2 == 1 {
			address = fmt.Sprintf("2001:db8:aaaa:bbbb:cccc:dddd:eeee:%x", 0x1000+i)
		}
		out = append(out, block{"name": fmt.Sprint(strings.Repeat(name, 60), i), "address": address, "maxConnections": int64(9), "minConnections": int64(1)})
	}
	return out
}

func plainServers(n int) list {
	out := manyServers("s", n)
	for _, server := range out {
		delete(server.(block), "maxConnections")
		delete(server.(block), "minConnections")
	}
	return out
}

func manyRanges(n int) list {
	var out list
	for i := range n {
		out = append(out, block{"first": int64(20000 + 10*i), "last": int64(20009 + 10*i)})
	}
	return out
}

func manyRoutes(n int) list {
	var out list
	for i := range n {
		out = append(out, block{"name": fmt.Sprint("r", i), "serverPool": "p63",
			"matches":        list{block{"pathPrefix": fmt.Sprint("/", i)}},
			"requestHeaders": block{"set": list{block{"name": "X-A", "value": "b"}, block{"name": "X-B", "value": "b"}}}})
	}
	return out
}
