package installation

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
)

func at(seconds int64) time.Time { return time.Unix(1_800_000_000+seconds, 0) }

func agents(namespace string, created int64) metav1.PartialObjectMetadata {
	return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, CreationTimestamp: metav1.NewTime(at(created))}}
}

func TestElder(t *testing.T) {
	tests := map[string]struct {
		sets []metav1.PartialObjectMetadata
		want string
	}{
		"nobody":                       {nil, ""},
		"only ours":                    {[]metav1.PartialObjectMetadata{agents("ours", 1)}, ""},
		"only another":                 {[]metav1.PartialObjectMetadata{agents("other", 9)}, "other"},
		"ours is older":                {[]metav1.PartialObjectMetadata{agents("other", 2), agents("ours", 1)}, ""},
		"another is older":             {[]metav1.PartialObjectMetadata{agents("ours", 2), agents("other", 1)}, "other"},
		"same second, we come first":   {[]metav1.PartialObjectMetadata{agents("zebra", 1), agents("ours", 1)}, ""},
		"same second, it comes first":  {[]metav1.PartialObjectMetadata{agents("ours", 1), agents("alpha", 1)}, "alpha"},
		"several others, none of ours": {[]metav1.PartialObjectMetadata{agents("b", 2), agents("a", 3)}, "b"},
	}
	for name, tc := range tests {
		if got := elder(tc.sets, "ours"); got != tc.want {
			t.Errorf("%s: got %q, want %q", name, got, tc.want)
		}
	}
}

func TestJudge(t *testing.T) {
	tpn := func(name string, released bool) v1alpha1.TruePACSNode {
		role := v1alpha1.NodeRoleDirector
		if released {
			role = v1alpha1.NodeRoleReleased
		}
		return v1alpha1.TruePACSNode{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: v1alpha1.TruePACSNodeStatus{Role: role}}
	}
	until := map[string]time.Time{"done": at(9), "holds-b": at(9), "holds-a": at(9), "dead": at(-1), "dead-but-done": at(-1), "just": at(0)}
	nodes := []v1alpha1.TruePACSNode{tpn("done", true), tpn("holds-b", false), tpn("dead", false), tpn("dead-but-done", true), tpn("no-lease", false)}
	got := judge(until, nodes, at(0))
	want := progress{holding: []string{"holds-a", "holds-b"}, dead: []string{"dead", "just"}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(progress{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if want.left = time.Second; want.done() {
		t.Error("a live agent that holds something is not waited for")
	}
	if want.left = 0; !want.done() {
		t.Error("the wait has no end")
	}
}

func TestTimeout(t *testing.T) {
	tests := map[string]time.Duration{"": DefaultTimeout, "30": 30 * time.Second, "0": 0, "-1": DefaultTimeout, "soon": DefaultTimeout, "99999999": DefaultTimeout}
	for text, want := range tests {
		if got := timeout(&corev1.ConfigMap{Data: map[string]string{TimeoutKey: text}}); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
