package agent

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
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
)

const (
	// renew is how often the Lease is renewed, leaseSeconds how long it then counts.
	renew        = 5 * time.Second
	leaseSeconds = 20
)

// reportUntil writes what the node does until ctx ends: at once when something changed, and the
// Lease all the time.
func (r *runner) reportUntil(ctx context.Context, api client.Client) {
	tick := time.NewTicker(renew)
	defer tick.Stop()
	written := map[types.NamespacedName]v1alpha1.TruePACSReportStatus{}
	for {
		if err := r.write(ctx, api, written); err != nil && ctx.Err() == nil {
			r.log.V(1).Info("the report could not be written, it will be tried again", "cause", err.Error())
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.report:
			time.Sleep(settle)
		}
	}
}

func (r *runner) write(ctx context.Context, api client.Client, written map[types.NamespacedName]v1alpha1.TruePACSReportStatus) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	errs := []error{r.renewLease(ctx, api), r.writeNode(ctx, api)}
	reports := r.node.Reports()
	for name, report := range reports {
		last, known := written[name]
		switch {
		case !report.Active && known:
			if err := r.removeReport(ctx, api, name); err != nil {
				errs = append(errs, err)
				continue
			}
			delete(written, name)
		case report.Active && (!known || !equality.Semantic.DeepEqual(last, report.Status)):
			if err := r.writeReport(ctx, api, name, report.Status); err != nil {
				errs = append(errs, err)
				continue
			}
			written[name] = report.Status
		}
	}
	for name := range written {
		if _, there := reports[name]; !there {
			delete(written, name) // the owner is gone, and with it the report
		}
	}
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
