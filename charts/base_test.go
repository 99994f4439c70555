package charts

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

func identities(all []*unstructured.Unstructured) []string {
	var out []string
	for _, o := range all {
		// The base makes its namespace, and has no hooks.
		if o.GetKind() == "Namespace" || o.GetAnnotations()["helm.sh/hook"] != "" {
			continue
		}
		out = append(out, o.GetKind()+" "+o.GetNamespace()+"/"+o.GetName())
	}
	slices.Sort(out)
	return out
}

func chartObjects(t *testing.T) []*unstructured.Unstructured {
	t.Helper()
	return append(objects(t, template(t, chart)), objects(t, template(t, "truepacs-crds"))...)
}

// TestBaseInstallsTheSame compares the kustomize base with the two charts.
func TestBaseInstallsTheSame(t *testing.T) {
	base, charts := objects(t, kustomize(t)), chartObjects(t)
	if diff := cmp.Diff(identities(charts), identities(base)); diff != "" {
		t.Fatalf("objects (-charts +base):\n%s", diff)
	}
	for _, o := range base {
		compareObject(t, o, charts)
	}
}

func compareObject(t *testing.T, o *unstructured.Unstructured, charts []*unstructured.Unstructured) {
	t.Helper()
	name := o.GetName()
	switch o.GetKind() {
	case "ClusterRole", "Role":
		want, got := find[rbacv1.ClusterRole](t, charts, o.GetKind(), name).Rules, find[rbacv1.ClusterRole](t, []*unstructured.Unstructured{o}, o.GetKind(), name).Rules
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s %s (-chart +base):\n%s", o.GetKind(), name, diff)
		}
	case "ClusterRoleBinding", "RoleBinding":
		want, got := find[rbacv1.RoleBinding](t, charts, o.GetKind(), name), find[rbacv1.RoleBinding](t, []*unstructured.Unstructured{o}, o.GetKind(), name)
		if diff := cmp.Diff(want.Subjects, got.Subjects); diff != "" || want.RoleRef != got.RoleRef {
			t.Errorf("%s %s (-chart +base):\n%s", o.GetKind(), name, diff)
		}
	case "Deployment":
		want, got := find[appsv1.Deployment](t, charts, o.GetKind(), name).Spec, find[appsv1.Deployment](t, []*unstructured.Unstructured{o}, o.GetKind(), name).Spec
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("Deployment (-chart +base):\n%s", diff)
		}
	}
}

// may lists what the roles of the chart, hooks included, allow as verb/group/resource.
func may(t *testing.T, role string) []string {
	t.Helper()
	var out []string
	for _, o := range chartObjects(t) {
		if (o.GetKind() != "ClusterRole" && o.GetKind() != "Role") || !strings.HasPrefix(o.GetName(), role) {
			continue
		}
		for _, rule := range find[rbacv1.ClusterRole](t, []*unstructured.Unstructured{o}, o.GetKind(), o.GetName()).Rules {
			for _, verb := range rule.Verbs {
				for _, group := range rule.APIGroups {
					for _, resource := range rule.Resources {
						out = append(out, verb+" "+group+"/"+resource)
					}
				}
			}
		}
	}
	return out
}

func TestPermissionsAreSmall(t *testing.T) {
	operator, agent := may(t, "truepacs-operator"), may(t, "truepacs-agent")
	if len(operator) < 20 || len(agent) < 15 {
		t.Fatalf("found %d and %d permissions only", len(operator), len(agent))
	}
	for _, p := range slices.Concat(operator, agent, may(t, "truepacs-uninstall")) {
		if strings.Contains(p, "*") || strings.Contains(p, "rbac") || strings.Contains(p, "escalate") || strings.Contains(p, "impersonate") {
			t.Errorf("too much: %s", p)
		}
	}
	for _, p := range operator {
		if strings.HasSuffix(p, "/secrets") || strings.HasSuffix(p, "/pods") {
			t.Errorf("the operator may %s", p)
		}
	}
	for _, p := range agent {
		if strings.HasSuffix(p, "/secrets") && p != "get /secrets" {
			t.Errorf("the agent may %s", p)
		}
	}
	for _, o := range chartObjects(t) {
		subjects, _, _ := unstructured.NestedSlice(o.Object, "subjects")
		for _, s := range subjects {
			if s.(map[string]any)["name"] == "truepacs-proxy" {
				t.Errorf("%s %s gives the proxy permissions", o.GetKind(), o.GetName())
			}
		}
	}
}

func TestSecretNamespacesLimitTheAgents(t *testing.T) {
	all := objects(t, template(t, chart, "--set", "agent.secretNamespaces={imaging,lab}"))
	for _, ns := range []string{"imaging", "lab"} {
		if !slices.Contains(identities(all), "Role "+ns+"/truepacs-agent-secrets") || !slices.Contains(identities(all), "RoleBinding "+ns+"/truepacs-agent-secrets") {
			t.Errorf("no role for Secrets in %s", ns)
		}
	}
	if slices.ContainsFunc(identities(all), func(s string) bool { return strings.HasPrefix(s, "Cluster") && strings.Contains(s, "secrets") }) {
		t.Error("the agents may still get Secrets everywhere")
	}
}
