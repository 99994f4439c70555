package controlplane_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"github.com/truepacs/balancer/e2e/cluster/controlplane"
)

func TestAPIServerAppliesCELRules(t *testing.T) {
	cfg, stop, err := controlplane.StartAPIServer(limit(t), controlplane.Options{Parent: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := dynamic.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	createCRD(t, client)
	namespace := controlplane.Namespace(t, cfg)
	tests := map[string]struct {
		address string
		want    string // part of the rejection; empty: accepted
	}{
		"an address":       {"192.0.2.100", ""},
		"not an address":   {"pacs", "write an IP address"},
		"a loopback":       {"127.0.0.1", "write an address that clients can reach"},
		"not canonical v6": {"2001:DB8::1", "write the canonical form"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := client.Resource(probes).Namespace(namespace).Create(limit(t), probe(tc.address), metav1.CreateOptions{})
			switch {
			case tc.want == "" && err != nil:
				t.Fatalf("rejected: %v", err)
			case tc.want == "":
			case !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tc.want):
				t.Fatalf("got %v, want a rejection that says %q", err, tc.want)
			default:
				t.Log(err)
			}
		})
	}
}

func TestStopAndStartKeepData(t *testing.T) {
	cp, err := controlplane.Start(limit(t), controlplane.Options{Parent: t.TempDir(), Controllers: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(cp.Dir()); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", cp.Dir(), err)
		}
	})
	cfg, err := cp.Config()
	if err != nil {
		t.Fatal(err)
	}
	client := kubernetes.NewForConfigOrDie(cfg)
	waitServiceAccount(t, client) // proves that the controller manager works
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept"}, Data: map[string]string{"a": "b"}}
	if _, err := client.CoreV1().ConfigMaps("default").Create(limit(t), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := cp.StopAPIServer(limit(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Discovery().ServerVersion(); err == nil {
		t.Error("the API server answers although it was stopped")
	}
	if err := cp.StartAPIServer(limit(t)); err != nil {
		t.Fatal(err)
	}
	got, err := client.CoreV1().ConfigMaps("default").Get(limit(t), "kept", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Data["a"] != "b" {
		t.Errorf("data %v, want a=b", got.Data)
	}
}

func TestUsersMayDoWhatTheyWereGranted(t *testing.T) {
	cp, err := controlplane.Start(limit(t), controlplane.Options{Parent: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cp.Close() })
	cfg, err := cp.ConfigFor(controlplane.Subject{User: "radiographer"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = kubernetes.NewForConfigOrDie(cfg).CoreV1().Secrets("default").List(limit(t), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("an unknown user lists Secrets: %v, want Forbidden", err)
	}
	version, err := kubernetes.NewForConfigOrDie(cfg).Discovery().ServerVersion()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getenv("KUBEBUILDER_ASSETS") == "" && version.GitVersion != "v1.37.2" {
		t.Errorf("version %s, want the pinned v1.37.2", version.GitVersion)
	}
}

func waitServiceAccount(t *testing.T, client kubernetes.Interface) {
	t.Helper()
	ctx := limit(t)
	for {
		_, err := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the controller manager makes no service account: %v", err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

var probes = schema.GroupVersionResource{Group: "test.truepacs.io", Version: "v1", Resource: "probes"}

const crd = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: probes.test.truepacs.io}
spec:
  group: test.truepacs.io
  scope: Namespaced
  names: {kind: Probe, plural: probes}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          address:
            type: string
            maxLength: 64
            x-kubernetes-validations:
            - {rule: "isIP(self)", message: "write an IP address"}
            - {rule: "!isIP(self) || !ip(self).isLoopback()", message: "write an address that clients can reach"}
            - {rule: "!isIP(self) || ip.isCanonical(self)", message: "write the canonical form"}
`

func createCRD(t *testing.T, client dynamic.Interface) {
	t.Helper()
	object := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(crd), &object.Object); err != nil {
		t.Fatal(err)
	}
	crds := client.Resource(apiextensionsv1.SchemeGroupVersion.WithResource("customresourcedefinitions"))
	if _, err := crds.Create(limit(t), object, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = crds.Delete(context.Background(), object.GetName(), metav1.DeleteOptions{}) })
	waitServed(t, client)
}

// waitServed waits until the new kind can be listed, which is a moment after its CRD was accepted.
func waitServed(t *testing.T, client dynamic.Interface) {
	t.Helper()
	ctx := limit(t)
	for {
		_, err := client.Resource(probes).Namespace("default").List(ctx, metav1.ListOptions{})
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the CRD is not served: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func probe(address string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "test.truepacs.io/v1", "kind": "Probe",
		"metadata": map[string]any{"generateName": "probe-"}, "address": address,
	}}
}

// limit bounds a step far beyond what it takes on a slow machine, so that a hang ends as a failure.
func limit(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
