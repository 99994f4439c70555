package apply_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/truepacs/balancer/internal/apply"
)

func TestConvertClaimsOnlyWhatIsSet(t *testing.T) {
	got := metav1ac.OwnerReference()
	if err := apply.Convert(metav1.OwnerReference{Kind: "ServiceAccount", Name: "truepacs-agent"}, got); err != nil {
		t.Fatal(err)
	}
	want := metav1ac.OwnerReference().WithKind("ServiceAccount").WithName("truepacs-agent").WithAPIVersion("").WithUID("")
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("optional fields that are empty must stay nil (-want +got):\n%s", diff)
	}
}

func TestConvertNamesBothTypes(t *testing.T) {
	err := apply.Convert(map[string]any{"kind": 7}, metav1ac.OwnerReference())
	if err == nil {
		t.Fatal("a number went into a string")
	}
	if err := apply.Convert(make(chan int), metav1ac.OwnerReference()); err == nil {
		t.Fatal("a channel was encoded")
	}
}
