package agent

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers/balancer"
	"github.com/truepacs/balancer/controllers/liveness"
	"github.com/truepacs/balancer/internal/node"
)

const (
	// renew is how often the Lease is renewed, leaseSeconds how long it then counts.
	renew        = 5 * time.Second
	leaseSeconds = 20
)

// written is what this process has written to the API server, as far as it knows.
type written struct {
	reports map[types.NamespacedName]v1alpha1.TruePACSReportStatus
	// gone are the balancers of whose report this node is known to have none.
	gone map[types.NamespacedName]bool
}

func newWritten() *written {
	return &written{reports: map[types.NamespacedName]v1alpha1.TruePACSReportStatus{}, gone: map[types.NamespacedName]bool{}}
}

// reportUntil writes what the node does until ctx ends: at once when something changed, and the
// Lease all the time.
func (r *runner) reportUntil(ctx context.Context, api client.Client) {
	before := newWritten()
	try := func(write func(ctx context.Context) error) {
		bounded, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		if err := write(bounded); err != nil && ctx.Err() == nil {
			r.log.V(1).Info("the report could not be written, it will be tried again", "cause", err.Error())
		}
	}
	keepWriting(ctx, r.report,
		func() { try(func(ctx context.Context) error { return r.renewLease(ctx, api) }) },
		func() {
			try(func(ctx context.Context) error {
				return errors.Join(r.writeNode(ctx, api), r.writeReports(ctx, api, r.node.Reports(), before))
			})
		})
}

// keepWriting calls both at once and from then on every five seconds, write also when it is woken,
// until ctx ends.
func keepWriting(ctx context.Context, woken <-chan struct{}, renewLease, write func()) {
	tick := time.NewTicker(renew)
	defer tick.Stop()
	renewLease()
	write()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			renewLease()
		case <-woken:
			time.Sleep(settle)
		}
		write()
	}
}

// writeReports writes the reports of the balancers that this node is the director of and removes
// the others'. One may be left from before this process began, so that each is removed once.
func (r *runner) writeReports(ctx context.Context, api client.Client, reports map[types.NamespacedName]node.Report, before *written) error {
	var errs []error
	for name, report := range reports {
		last, known := before.reports[name]
		switch {
		case !report.Active && !before.gone[name]:
			if err := r.removeReport(ctx, api, name); err != nil {
				errs = append(errs, fmt.Errorf("remove report %s: %w", reportName(name.Name, r.options.Node), err))
				continue
			}
			delete(before.reports, name)
			before.gone[name] = true
		case report.Active && (!known || !equality.Semantic.DeepEqual(last, report.Status)):
			delete(before.gone, name) // whatever becomes of writing it
			if err := r.writeReport(ctx, api, name, report.Status); err != nil {
				errs = append(errs, err)
				continue
			}
			before.reports[name] = report.Status
		}
	}
	there := func(name types.NamespacedName) bool { _, ok := reports[name]; return ok }
	// The owner is gone, and with it the report.
	maps.DeleteFunc(before.reports, func(name types.NamespacedName, _ v1alpha1.TruePACSReportStatus) bool { return !there(name) })
	maps.DeleteFunc(before.gone, func(name types.NamespacedName, _ bool) bool { return !there(name) })
	return errors.Join(errs...)
}

// reportName is <balancer>-<node>, cut with a hash where that is too long for a name.
func reportName(balancer, node string) string {
	name := balancer + "-" + node
	if len(name) <= 253 {
		return name
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(name))
	return fmt.Sprintf("%s-%016x", name[:236], h.Sum64())
}

func (r *runner) writeReport(ctx context.Context, api client.Client, name types.NamespacedName, status v1alpha1.TruePACSReportStatus) error {
	var owner v1alpha1.TruePACSBalancer
	if err := api.Get(ctx, name, &owner); err != nil {
		return client.IgnoreNotFound(err) // kept although it is not shown: there is nobody to report to
	}
	report := &v1alpha1.TruePACSReport{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: reportName(name.Name, r.options.Node)}}
	_, err := controllerutil.CreateOrUpdate(ctx, api, report, func() error {
		report.Labels = map[string]string{balancer.Label: name.Name}
		report.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: v1alpha1.GroupVersion.String(), Kind: "TruePACSBalancer", Name: owner.Name, UID: owner.UID,
		}}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write report %s: %w", report.Name, err)
	}
	if equality.Semantic.DeepEqual(report.Status, status) {
		return nil
	}
	report.Status = status
	if err := api.Status().Update(ctx, report); err != nil {
		return fmt.Errorf("write report %s: %w", report.Name, err)
	}
	return nil
}

func (r *runner) removeReport(ctx context.Context, api client.Client, name types.NamespacedName) error {
	report := &v1alpha1.TruePACSReport{ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: reportName(name.Name, r.options.Node)}}
	return client.IgnoreNotFound(api.Delete(ctx, report))
}

func (r *runner) renewLease(ctx context.Context, api client.Client) error {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: r.options.Namespace, Name: liveness.LeasePrefix + r.options.Node}}
	_, err := controllerutil.CreateOrUpdate(ctx, api, lease, func() error {
		lease.Spec.HolderIdentity = ptr.To(r.options.Node)
		lease.Spec.LeaseDurationSeconds = ptr.To[int32](leaseSeconds)
		lease.Spec.RenewTime = ptr.To(metav1.NowMicro())
		return nil
	})
	if err != nil {
		return fmt.Errorf("renew Lease %s: %w", lease.Name, err)
	}
	return nil
}
