package charts

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/truepacs/balancer/controllers"
	"github.com/truepacs/balancer/internal/render"
)

const chart = "truepacs-balancer"

func TestLint(t *testing.T) {
	for _, c := range []string{chart, "truepacs-crds"} {
		if out, err := helm(t, "lint", "--strict", c); err != nil {
			t.Errorf("%s: %v\n%s", c, err, out)
		}
	}
}

// TestGolden renders the chart with testdata/NAME.values.yaml into testdata/NAME.out.yaml.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.values.yaml")
	if err != nil || len(files) < 3 {
		t.Fatalf("%d cases: %v", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			golden(t, strings.TrimSuffix(file, ".values.yaml")+".out.yaml", template(t, chart, "--values", file))
		})
	}
}

func TestNotes(t *testing.T) {
	tests := map[string]struct{ set, want string }{
		"release":    {"uninstall.timeoutSeconds=77", "one that hangs for 77 seconds"},
		"no release": {"uninstall.release=false", `run "truepacs uninstall --namespace truepacs-system" first`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			out, err := helm(t, "install", "pacs", chart, "--namespace", "truepacs-system", "--dry-run=client", "--set", tc.set)
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []string{tc.want, "kubectl label node NODE lb.truepacs.io/director=true"} {
				if !strings.Contains(string(out), want) {
					t.Errorf("the notes do not say %q", want)
				}
			}
		})
	}
}

func TestSchemaRefuses(t *testing.T) {
	tests := map[string]string{
		"unknown value":       "imgae.tag=v1",
		"nested unknown":      "agent.nodeselector.a=b",
		"wrong policy":        "image.pullPolicy=Sometimes",
		"zero replicas":       "operator.replicas=0",
		"port of the probes":  "metrics.port=8081",
		"relative path":       "hostPaths.run=run",
		"mark too large":      "markRange.last=4294967296",
		"verbosity":           "logVerbosity=11",
		"digest without name": "image.digest=abc",
	}
	for name, set := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := helm(t, "template", "pacs", chart, "--set", set)
			if err == nil || !strings.Contains(err.Error(), "values don't meet the specifications of the schema") {
				t.Errorf("%s was not refused by the schema: %v", set, err)
			}
		})
	}
}

func settingsOf(t *testing.T, text []byte) render.Settings {
	t.Helper()
	settings, err := render.Parse([]byte(find[corev1.ConfigMap](t, objects(t, text), "ConfigMap", render.SettingsName).Data["settings.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

// TestSettingsAreTheOperators: what chart and base write is what the operator reads, and the
// chart's defaults are the operator's.
func TestSettingsAreTheOperators(t *testing.T) {
	want := render.Default()
	want.Image = "truepacs/balancer:v0.1.0"
	if diff := cmp.Diff(want, settingsOf(t, kustomize(t))); diff != "" {
		t.Errorf("base (-default +got):\n%s", diff)
	}
	got := settingsOf(t, template(t, chart))
	got.ImagePullSecrets = nil
	for _, role := range []*render.Role{&got.Agent, &got.Proxy} {
		if len(role.Tolerations)+len(role.PodLabels)+len(role.PodAnnotations) == 0 {
			role.Tolerations, role.PodLabels, role.PodAnnotations = nil, nil, nil
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("chart (-default +got):\n%s", diff)
	}
}

// TestSettingsOfEveryCaseAreAccepted reads the settings of every golden case.
func TestSettingsOfEveryCaseAreAccepted(t *testing.T) {
	got := settingsOf(t, template(t, chart, "--values", "testdata/full.values.yaml"))
	if got.Image != "registry.example.org/pacs/balancer@sha256:"+strings.Repeat("0", 63)+"1" || got.MarkRange.Last != 4294967295 || got.Agent.Tolerations[0].Key != "imaging" {
		t.Errorf("values did not arrive: %+v", got)
	}
}

// TestOperatorUnderstandsItsArguments: the flags in the pods are flags that exist.
func TestOperatorUnderstandsItsArguments(t *testing.T) {
	for name, text := range map[string][]byte{"chart": template(t, chart), "base": kustomize(t)} {
		t.Run(name, func(t *testing.T) {
			deployment := find[appsv1.Deployment](t, objects(t, text), "Deployment", "truepacs-operator")
			args := deployment.Spec.Template.Spec.Containers[0].Args
			flags := pflag.NewFlagSet("operator", pflag.ContinueOnError)
			flags.IntP("verbosity", "v", 0, "of every role")
			var o controllers.Options
			o.AddFlags(flags)
			if err := flags.Parse(args[1:]); err != nil || args[0] != "operator" {
				t.Fatalf("%v: %v", args, err)
			}
			if o.MetricsAddr != ":8443" || o.HealthAddr != ":8081" || !o.LeaderElection || o.SettingsPath != controllers.DefaultSettingsPath {
				t.Errorf("%+v", o)
			}
		})
	}
}

func TestNothingIsInAnotherNamespace(t *testing.T) {
	out, err := helm(t, "template", "pacs", chart, "--namespace", "elsewhere")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "truepacs-system") {
		t.Error("the chart knows a namespace of its own")
	}
	for _, object := range objects(t, out) {
		if ns := object.GetNamespace(); ns != "elsewhere" && !slices.Contains([]string{"ClusterRole", "ClusterRoleBinding"}, object.GetKind()) {
			t.Errorf("%s %s is in namespace %q", object.GetKind(), object.GetName(), ns)
		}
	}
}
