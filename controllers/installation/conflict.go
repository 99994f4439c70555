package installation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/internal/render"
)

// ErrSecondInstallation is wrapped when another installation was here first.
var ErrSecondInstallation = errors.New("another TruePACS Balancer installation runs in this cluster")

// CheckAlone returns an error that wraps ErrSecondInstallation and names the namespace when
// another installation's agents are in the cluster. Two installations would fight over the same
// addresses and kernel tables. reader must not be limited to one namespace.
func CheckAlone(ctx context.Context, reader client.Reader, namespace string) error {
	sets := &metav1.PartialObjectMetadataList{}
	sets.SetGroupVersionKind(daemonSetKind().GroupVersion().WithKind("DaemonSetList"))
	if err := reader.List(ctx, sets, client.MatchingLabels{render.NameLabel: render.AgentName}); err != nil {
		return fmt.Errorf("look for another installation (list DaemonSets in all namespaces): %w", err)
	}
	if other := elder(sets.Items, namespace); other != "" {
		return fmt.Errorf("%w, in namespace %s; this one, in namespace %s, does nothing. Use that one, or remove it first: truepacs uninstall --namespace %s",
			ErrSecondInstallation, other, namespace, other)
	}
	return nil
}

// elder is the namespace of another installation whose agents are older than ours, or the oldest
// when we have none. When two start at the same instant the name decides, so never both give way.
func elder(sets []metav1.PartialObjectMetadata, namespace string) string {
	slices.SortFunc(sets, func(a, b metav1.PartialObjectMetadata) int {
		if c := a.CreationTimestamp.Compare(b.CreationTimestamp.Time); c != 0 {
			return c
		}
		if a.Namespace < b.Namespace {
			return -1
		}
		return 1
	})
	if len(sets) == 0 || sets[0].Namespace == namespace {
		return ""
	}
	return sets[0].Namespace
}
