package refusals

import (
	"context"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/truepacs/balancer/config/crd/bases"
	"github.com/truepacs/balancer/e2e/cluster/controlplane"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
	"github.com/truepacs/balancer/internal/testutil/badspecs"
)

var (
	balancers   = schema.GroupVersionResource{Group: "lb.truepacs.io", Version: "v1alpha1", Resource: "truepacsbalancers"}
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// server is a real API server that serves our definitions.
type server struct {
	objects dynamic.ResourceInterface
}

func startServer(t *testing.T) server {
	t.Helper()
	cfg, stop, err := controlplane.StartAPIServer(limit(t), controlplane.Options{})
	suite.Must(t, err)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return server{define(t, cfg, bases.TruePACSBalancers()).Resource(balancers).Namespace(metav1.NamespaceDefault)}
}

// define creates CustomResourceDefinitions, that of the balancers among them, and waits until
// balancers are served.
func define(t *testing.T, cfg *rest.Config, manifests ...[]byte) dynamic.Interface {
	t.Helper()
	cfg.QPS = -1
	client, err := dynamic.NewForConfig(cfg)
	suite.Must(t, err)
	for _, text := range manifests {
		var crd unstructured.Unstructured
		suite.Must(t, yaml.Unmarshal(text, &crd.Object))
		if _, err := client.Resource(definitions).Create(limit(t), &crd, metav1.CreateOptions{}); err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	suite.Must(t, site.Until(limit(t), "the definition is served", func() error {
		_, err := client.Resource(balancers).Namespace(metav1.NamespaceDefault).List(limit(t), metav1.ListOptions{})
		return err
	}))
	return client
}

// create asks the server to take an object and to keep nothing.
func (s server) create(ctx context.Context, obj badspecs.Block) error {
	_, err := s.objects.Create(ctx, &unstructured.Unstructured{Object: obj},
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
	return err
}

// refusal tells a refusal of the object from a failure of the request.
func refusal(err error) bool { return apierrors.IsInvalid(err) || apierrors.IsBadRequest(err) }

// serverNames is how the server names a field where it has other words for it than its path.
func serverNames(c specCase) string {
	switch c.title {
	case "another version":
		return `version "v1"`
	case "label that is a number":
		return "ObjectMeta.labels"
	}
	return c.Field
}

// TestBadManifestsAreRefusedByTheAPIServer: each is refused with its field, its remedy is taken.
func TestBadManifestsAreRefusedByTheAPIServer(t *testing.T) {
	s := startServer(t)
	cases := specCases()
	for _, c := range cases {
		err := s.create(limit(t), c.bad(t))
		if !refusal(err) || !strings.Contains(err.Error(), serverNames(c)) {
			t.Errorf("%s: no refusal that names %s: %v", c.title, serverNames(c), err)
		}
		if err := s.create(limit(t), c.remedied(t)); err != nil {
			t.Errorf("%s: the remedy is refused: %v", c.title, err)
		}
	}
	if len(cases) < 40 {
		t.Fatalf("%d cases, the sample is too small", len(cases))
	}
	suite.Verdict(t, "%d bad manifests refused, %d remedies accepted", len(cases), len(cases))
}
