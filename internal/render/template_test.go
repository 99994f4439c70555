package render_test

import (
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	"pgregory.net/rapid"

	"github.com/truepacs/balancer/internal/apply"
	"github.com/truepacs/balancer/internal/render"
)

// TestNoBalancerCanReachATemplate: the package cannot even name a TruePACSBalancer, so no edit
// of one can change a DaemonSet.
func TestNoBalancerCanReachATemplate(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := strings.Fields(string(out))
	if len(deps) < 20 {
		t.Fatalf("go list found %d packages only", len(deps))
	}
	const module = "github.com/truepacs/balancer/"
	allowed := map[string]bool{module + "internal/render": true, module + "internal/apply": true}
	for _, dep := range deps {
		if strings.HasPrefix(dep, module) && !allowed[dep] {
			t.Errorf("render depends on %s: its templates may depend on the installation's settings alone", dep)
		}
	}
}

func drawSettings(t *rapid.T) render.Settings {
	s := render.Default()
	s.Image = rapid.StringMatching(`[a-z]{1,10}/[a-z]{1,10}:v[0-9]`).Draw(t, "image")
	s.LogVerbosity = rapid.Int32Range(0, 10).Draw(t, "verbosity")
	size := uint32(1) << rapid.IntRange(16, 24).Draw(t, "bits")
	s.MarkRange.First = size * rapid.Uint32Range(1, 200).Draw(t, "first")
	s.MarkRange.Last = s.MarkRange.First + (size - 1)
	labels := rapid.MapOf(rapid.StringMatching(`[a-z]{1,5}`), rapid.StringMatching(`[a-z]{1,5}`))
	s.Agent.PodLabels = labels.Draw(t, "agent labels")
	s.Proxy.PodAnnotations = labels.Draw(t, "proxy annotations")
	s.HostPaths.Run = rapid.StringMatching(`/r/[a-z]{1,5}`).Draw(t, "run")
	return s
}

func pod(t interface{ Fatal(...any) }, ds *appsv1ac.DaemonSetApplyConfiguration) corev1.PodTemplateSpec {
	var template corev1.PodTemplateSpec
	if err := apply.Convert(ds.Spec.Template, &template); err != nil {
		t.Fatal(err)
	}
	return template
}

// TestEveryTemplateIsSafe holds what no setting may loosen.
func TestEveryTemplateIsSafe(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSettings(t)
		if err := s.Validate(); err != nil {
			t.Fatal(err)
		}
		sets, err := render.DaemonSets(s, place())
		if err != nil {
			t.Fatal(err)
		}
		for _, ds := range sets {
			template := pod(t, ds)
			c := template.Spec.Containers[0]
			sc := c.SecurityContext
			if len(template.Spec.Containers) != 1 || len(c.Ports) > 0 || !template.Spec.HostNetwork {
				t.Fatalf("%s: one container on the host network without ports is wanted", *ds.Name)
			}
			if *sc.AllowPrivilegeEscalation || !*sc.ReadOnlyRootFilesystem || sc.Privileged != nil || sc.Capabilities.Drop[0] != "ALL" {
				t.Fatalf("%s: %+v", *ds.Name, sc)
			}
			if template.Labels[render.NameLabel] != *ds.Name || ds.Spec.Selector.MatchLabels[render.NameLabel] != *ds.Name {
				t.Fatalf("%s: selector and labels differ", *ds.Name)
			}
		}
		proxy := pod(t, sets[1]).Spec
		if len(proxy.Containers[0].SecurityContext.Capabilities.Add) > 0 || !*proxy.SecurityContext.RunAsNonRoot || *proxy.AutomountServiceAccountToken || len(proxy.Volumes) != 1 {
			t.Fatalf("the proxy has powers: %+v", proxy)
		}
	})
}

func TestAChangeForOneRoleLeavesTheOtherAlone(t *testing.T) {
	base := render.Default()
	base.Image = "truepacs/balancer:v1"
	changed := base
	changed.Proxy.PodLabels = map[string]string{"a": "b"}
	before, after := mustRender(t, base, place()), mustRender(t, changed, place())
	hash := func(ds *appsv1ac.DaemonSetApplyConfiguration) string {
		return pod(t, ds).Annotations[render.TemplateHash]
	}
	if hash(before[0]) != hash(after[0]) {
		t.Error("a proxy's label rolls the agents")
	}
	if hash(before[1]) == hash(after[1]) || hash(before[1]) == "" {
		t.Error("a proxy's label does not change the proxy's hash")
	}
}
