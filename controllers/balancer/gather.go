package balancer

import (
	"context"
	"fmt"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers/liveness"
	"github.com/truepacs/balancer/internal/conditions"
)

// Label is the label of a TruePACSReport with the name of its TruePACSBalancer.
const Label = "lb.truepacs.io/balancer"

// reportIndex finds the reports of a balancer in the cache.
const reportIndex = "balancer"

// Of is the name of the balancer that a report speaks of, in the report's namespace: its
// status, else its label, else its owner. Empty: it does not say.
func Of(report *v1alpha1.TruePACSReport) string {
	if report.Status.Balancer != "" {
		return report.Status.Balancer
	}
	if name := report.Labels[Label]; name != "" {
		return name
	}
	for _, owner := range report.OwnerReferences {
		if owner.Kind == "TruePACSBalancer" {
			return owner.Name
		}
	}
	return ""
}

func indexReport(o client.Object) []string {
	if report, ok := o.(*v1alpha1.TruePACSReport); ok && Of(report) != "" {
		return []string{Of(report)}
	}
	return nil
}

func (r *Reconciler) gatherReports(ctx context.Context, s *scope) error {
	var reports v1alpha1.TruePACSReportList
	err := r.Client.List(ctx, &reports, client.InNamespace(s.balancer.Namespace), client.MatchingFields{reportIndex: s.balancer.Name})
	if err != nil {
		return fmt.Errorf("list its reports: %w", err)
	}
	s.input.Reports = reports.Items
	return nil
}

func (r *Reconciler) gatherDirectors(ctx context.Context, s *scope) error {
	selector := labels.SelectorFromSet(conditions.Selector(s.balancer.Spec.Directors))
	var nodes corev1.NodeList
	if err := r.Client.List(ctx, &nodes, client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return fmt.Errorf("list the nodes that match spec.directors: %w", err)
	}
	for i := range nodes.Items {
		s.input.Directors = append(s.input.Directors, nodes.Items[i].Name)
	}
	return nil
}

// gatherLeases looks at the Leases of the directors and of the nodes that report.
func (r *Reconciler) gatherLeases(ctx context.Context, s *scope) error {
	s.input.Leases = map[string]time.Time{}
	nodes := s.input.Directors
	for i := range s.input.Reports {
		nodes = append(nodes, s.input.Reports[i].Status.Node)
	}
	for _, node := range nodes {
		var lease coordinationv1.Lease
		err := r.Client.Get(ctx, client.ObjectKey{Namespace: r.Namespace, Name: liveness.LeasePrefix + node}, &lease)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("read the Lease of node %s: %w", node, err)
		}
		if err == nil {
			s.input.Leases[node] = r.Leases.Observe(&lease, s.input.Now)
		}
	}
	return nil
}

func (r *Reconciler) validate(ctx context.Context, s *scope) error {
	if r.Validator == nil {
		return nil
	}
	var balancers v1alpha1.TruePACSBalancerList
	if err := r.Client.List(ctx, &balancers); err != nil {
		return fmt.Errorf("list all balancers to look for conflicts: %w", err)
	}
	var nodes corev1.NodeList
	if err := r.Client.List(ctx, &nodes); err != nil {
		return fmt.Errorf("list all nodes to look for conflicts: %w", err)
	}
	verdicts := r.Validator.Accepted(pointers(balancers.Items), pointers(nodes.Items))
	if verdict, ok := verdicts[client.ObjectKeyFromObject(s.balancer)]; ok {
		s.input.Accepted = &verdict
	}
	return nil
}

func pointers[T any](items []T) []*T {
	out := make([]*T, len(items))
	for i := range items {
		out[i] = &items[i]
	}
	return out
}
