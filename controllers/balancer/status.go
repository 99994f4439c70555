package balancer

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
	acv1alpha1 "github.com/truepacs/balancer/api/v1alpha1/applyconfiguration/api/v1alpha1"
	"github.com/truepacs/balancer/internal/apply"
	"github.com/truepacs/balancer/internal/conditions"
)

// writeStatus applies the whole status when it differs from the stored one, then tells the
// changes as events. Events come after the write, so that a write that fails and is repeated
// tells them once.
func (r *Reconciler) writeStatus(ctx context.Context, s *scope) error {
	before := s.balancer.Status
	if conditions.Equal(before, s.status) {
		return nil
	}
	status := acv1alpha1.TruePACSBalancerStatus()
	if err := apply.Convert(s.status, status); err != nil {
		return err
	}
	object := acv1alpha1.TruePACSBalancer(s.balancer.Name, s.balancer.Namespace).WithUID(s.balancer.UID).WithStatus(status)
	err := r.Client.Status().Apply(ctx, object, client.FieldOwner(apply.FieldManager), client.ForceOwnership)
	if apierrors.IsNotFound(err) {
		return nil // deleted meanwhile
	}
	if err != nil {
		return fmt.Errorf("write the status: %w", err)
	}
	r.tell(s.balancer, conditions.Transitions(before, s.status))
	return nil
}

func (r *Reconciler) tell(balancer *v1alpha1.TruePACSBalancer, transitions []conditions.Transition) {
	for _, t := range transitions {
		kind := corev1.EventTypeNormal
		if t.Warning {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Eventf(balancer, nil, kind, t.Reason, conditions.Action("FoldReports", t.Note), "%s", t.Note)
	}
}
