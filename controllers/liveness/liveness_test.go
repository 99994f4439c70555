package liveness_test

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/truepacs/balancer/controllers/liveness"
)

func lease(renewed time.Time) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Name: "truepacs-node-node-1"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:       ptr.To("node-1"),
			LeaseDurationSeconds: ptr.To[int32](10),
			RenewTime:            ptr.To(metav1.NewMicroTime(renewed)),
		},
	}
}

func TestBook(t *testing.T) {
	start := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	at := func(seconds int) time.Time { return start.Add(time.Duration(seconds) * time.Second) }
	type look struct {
		lease *coordinationv1.Lease
		now   time.Time
		want  time.Time
	}
	released := lease(at(2))
	released.Spec.HolderIdentity = ptr.To("")
	bare := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "truepacs-node-node-1"}}
	tests := map[string][]look{
		"fresh at first sight":        {{lease(at(0)), at(1), at(10)}},
		"dead before the first sight": {{lease(at(-100)), at(0), at(-90)}, {lease(at(-100)), at(5), at(-90)}},
		"node's clock is fast":        {{lease(at(600)), at(0), at(10)}, {lease(at(600)), at(9), at(10)}, {lease(at(605)), at(5), at(15)}},
		"node's clock is slow":        {{lease(at(-600)), at(0), at(-590)}, {lease(at(-595)), at(5), at(15)}},
		"renewed":                     {{lease(at(0)), at(0), at(10)}, {lease(at(5)), at(6), at(16)}},
		"given up":                    {{lease(at(0)), at(0), at(10)}, {released, at(3), at(3)}},
		"never renewed":               {{bare, at(0), time.Time{}.Add(15 * time.Second)}},
	}
	for name, looks := range tests {
		t.Run(name, func(t *testing.T) {
			var book liveness.Book
			for i, l := range looks {
				if got := book.Observe(l.lease, l.now); !got.Equal(l.want) {
					t.Errorf("look %d: alive until %v, want %v", i, got.Sub(start), l.want.Sub(start))
				}
				if got, ok := book.Until("node-1"); !ok || !got.Equal(l.want) {
					t.Errorf("look %d: Until says %v, %v", i, got, ok)
				}
			}
			book.Forget("node-1")
			if _, ok := book.Until("node-1"); ok {
				t.Error("a forgotten Lease is still known")
			}
		})
	}
}

func TestNode(t *testing.T) {
	tests := map[string]struct {
		want string
		ok   bool
	}{
		"truepacs-node-node-1.example.org": {"node-1.example.org", true},
		"truepacs-node-":                   {"", false},
		"truepacs-operator":                {"truepacs-operator", false},
	}
	for name, tc := range tests {
		got, ok := liveness.Node(&coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}})
		if got != tc.want || ok != tc.ok {
			t.Errorf("%s: got %q, %v", name, got, ok)
		}
	}
}
