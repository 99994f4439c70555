package render_test

import (
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/truepacs/balancer/internal/apply"
	"github.com/truepacs/balancer/internal/render"
)

// TestColdStartGolden renders testdata/NAME.in.yaml and compares with testdata/NAME.coldstart.yaml.
func TestColdStartGolden(t *testing.T) {
	for _, name := range []string{"minimal", "full"} {
		t.Run(name, func(t *testing.T) {
			s, err := render.ReadFile(filepath.Join("testdata", name+".in.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			pod, err := render.ColdStartPod(s, "truepacs-system")
			if err != nil {
				t.Fatal(err)
			}
			text, err := yaml.Marshal(pod)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, filepath.Join("testdata", name+".coldstart.yaml"), text)
		})
	}
}

// TestColdStartIsWhatTheDaemonSetsAre: the containers have the rights, mounts and settings of
// those in the DaemonSets, and the pod refers to no object of the API.
func TestColdStartIsWhatTheDaemonSetsAre(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := drawSettings(t)
		sets, err := render.DaemonSets(s, place())
		if err != nil {
			t.Fatal(err)
		}
		ac, err := render.ColdStartPod(s, "ns")
		if err != nil {
			t.Fatal(err)
		}
		var cold corev1.Pod
		if err := apply.Convert(ac, &cold); err != nil {
			t.Fatal(err)
		}
		var grace int64
		for i, set := range sets {
			regular := pod(t, set).Spec
			grace = max(grace, *regular.TerminationGracePeriodSeconds)
			if diff := cmp.Diff(flat(regular), flat(cold.Spec)[i:i+1]); diff != "" {
				t.Fatalf("%s (-DaemonSet +static pod):\n%s", *set.Name, diff)
			}
			for _, v := range regular.Volumes {
				if !slices.ContainsFunc(cold.Spec.Volumes, func(c corev1.Volume) bool { return reflect.DeepEqual(c, v) }) {
					t.Fatalf("volume %s is missing", v.Name)
				}
			}
			if cold.Labels[render.NameLabel] == *set.Name {
				t.Fatal("a DaemonSet would select the static pod")
			}
		}
		spec := cold.Spec
		if *spec.TerminationGracePeriodSeconds != grace || !spec.HostNetwork {
			t.Fatalf("grace %d, want %d", *spec.TerminationGracePeriodSeconds, grace)
		}
		if spec.ServiceAccountName != "" || len(spec.ImagePullSecrets) > 0 || *spec.AutomountServiceAccountToken {
			t.Fatal("a static pod may refer to no object of the API")
		}
	})
}

// flat returns the containers with what their pod says about users, without --cold-start and
// without probes, which are asked at another pace.
func flat(spec corev1.PodSpec) []corev1.Container {
	var out []corev1.Container
	for _, c := range spec.Containers {
		c = *c.DeepCopy()
		if n := len(c.Args); c.Args[n-1] == "--cold-start" {
			c.Args = c.Args[:n-1]
		}
		c.StartupProbe, c.ReadinessProbe, c.LivenessProbe = nil, nil, nil
		own, pod := c.SecurityContext, spec.SecurityContext
		if own.RunAsUser == nil {
			own.RunAsUser, own.RunAsGroup, own.RunAsNonRoot = pod.RunAsUser, pod.RunAsGroup, pod.RunAsNonRoot
		}
		out = append(out, c)
	}
	return out
}
