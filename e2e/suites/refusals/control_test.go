package refusals

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/truepacs/balancer/e2e/cluster/controlplane"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// system is the installation's namespace.
const system = "truepacs-system"

// agentUser is the agent's service account.
func agentUser() controlplane.Subject {
	return controlplane.Subject{User: "system:serviceaccount:" + system + ":truepacs-agent", Groups: []string{"system:serviceaccounts"}}
}

// control is the cluster's control plane, a host on the LAN.
type control struct {
	plane  *controlplane.ControlPlane
	client dynamic.Interface
}

func newControl(t *testing.T, w *world) *control {
	t.Helper()
	address := netip.MustParseAddr("192.0.2.240")
	host, err := w.Lab.Namespace("control", lab.NIC{Network: w.LAN, Addresses: []netip.Prefix{netip.PrefixFrom(address, 24)}})
	suite.Must(t, err)
	plane, err := controlplane.Start(limit(t), controlplane.Options{
		Netns: filepath.Join(filepath.Dir(host.Path("/")), "ns", "net"), Address: address, Port: 6443,
	})
	suite.Must(t, err)
	t.Cleanup(func() {
		if err := plane.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg, err := plane.Config()
	suite.Must(t, err)
	client, err := dynamic.NewForConfig(cfg)
	suite.Must(t, err)
	return &control{plane: plane, client: client}
}

// install brings everything that the agent needs, what is there already included, and the
// balancer.
func (c *control) install(t *testing.T) {
	t.Helper()
	c.grant(t)
	c.define(t)
	c.create(t, schema.GroupVersionResource{Version: "v1", Resource: "nodes"}, "",
		`{apiVersion: v1, kind: Node, metadata: {name: lb1, labels: {lb.truepacs.io/director: "true"}}}`)
	c.create(t, balancers, metav1.NamespaceDefault, goodManifest())
}

// grant gives the agent its rights.
func (c *control) grant(t *testing.T) {
	t.Helper()
	c.create(t, schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, "",
		`{apiVersion: v1, kind: Namespace, metadata: {name: `+system+`}}`)
	text, err := os.ReadFile("../../../config/rbac/agent.yaml")
	suite.Must(t, err)
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		kind, namespace := rbacKind(t, doc)
		c.create(t, kind, namespace, string(doc))
	}
}

// forbid takes the agent's rights away.
func (c *control) forbid(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile("../../../config/rbac/agent.yaml")
	suite.Must(t, err)
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		kind, namespace := rbacKind(t, doc)
		suite.Must(t, c.resource(kind, namespace).Delete(limit(t), parsed(t, string(doc)).GetName(), metav1.DeleteOptions{}))
	}
}

func rbacKind(t *testing.T, doc []byte) (kind schema.GroupVersionResource, namespace string) {
	t.Helper()
	name := parsed(t, string(doc)).GetKind()
	if !strings.HasPrefix(name, "Cluster") {
		namespace = system
	}
	return schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: strings.ToLower(name) + "s"}, namespace
}

// define creates the definitions and waits until they are served.
func (c *control) define(t *testing.T) {
	t.Helper()
	files, err := filepath.Glob("../../../config/crd/bases/*.yaml")
	suite.Must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		suite.Must(t, err)
		c.create(t, definitions, "", string(text))
	}
	suite.Must(t, site.Until(limit(t), "the definition is served", func() error {
		_, err := c.resource(balancers, metav1.NamespaceDefault).List(limit(t), metav1.ListOptions{})
		return err
	}))
}

// undefine deletes the balancers' definition, and with it the balancers.
func (c *control) undefine(t *testing.T) {
	t.Helper()
	const name = "truepacsbalancers.lb.truepacs.io"
	suite.Must(t, c.resource(definitions, "").Delete(limit(t), name, metav1.DeleteOptions{}))
	suite.Must(t, site.Until(limit(t), "the definition goes", func() error {
		_, err := c.resource(definitions, "").Get(limit(t), name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return fmt.Errorf("it is there: %w", err)
	}))
}

// schedule writes another scheduler into the balancer.
func (c *control) schedule(t *testing.T, scheduler string) {
	t.Helper()
	patch := fmt.Sprintf(`[{"op": "replace", "path": "/spec/virtualServices/0/layer4/scheduler", "value": %q}]`, scheduler)
	_, err := c.resource(balancers, metav1.NamespaceDefault).Patch(limit(t), "flows", types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
	suite.Must(t, err)
}

func (c *control) resource(kind schema.GroupVersionResource, namespace string) dynamic.ResourceInterface {
	if namespace == "" {
		return c.client.Resource(kind)
	}
	return c.client.Resource(kind).Namespace(namespace)
}

// create creates an object that may be there already.
func (c *control) create(t *testing.T, kind schema.GroupVersionResource, namespace, text string) {
	t.Helper()
	obj := parsed(t, text)
	if strings.HasSuffix(obj.GetKind(), "Binding") {
		subjects, _, err := unstructured.NestedSlice(obj.Object, "subjects")
		suite.Must(t, err)
		subjects[0].(map[string]any)["namespace"] = system
		suite.Must(t, unstructured.SetNestedSlice(obj.Object, subjects, "subjects"))
	}
	suite.Must(t, site.Until(limit(t), "create "+obj.GetKind()+" "+obj.GetName(), func() error {
		_, err := c.resource(kind, namespace).Create(limit(t), obj, metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	}))
}

func parsed(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	var obj unstructured.Unstructured
	suite.Must(t, yaml.Unmarshal([]byte(text), &obj.Object))
	return &obj
}
