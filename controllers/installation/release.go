package installation

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers/liveness"
	"github.com/truepacs/balancer/internal/render"
)

// TimeoutKey is the key of ConfigMap truepacs-release with the number of seconds to wait for the
// agents; DefaultTimeout when it is absent or no number.
const TimeoutKey = "timeoutSeconds"

// DefaultTimeout is how long an uninstall waits for agents that are alive but do not let go.
const DefaultTimeout = 2 * time.Minute

// releasePoll is how often the agents' progress is looked at.
const releasePoll = time.Second

// progress is how far the agents have got with letting go.
type progress struct {
	// holding are the live nodes that have not released yet.
	holding []string
	// dead are the nodes that nobody waits for, because their agents are silent.
	dead []string
	// left is the time until the wait is given up.
	left time.Duration
}

func (p progress) done() bool { return len(p.holding) == 0 || p.left <= 0 }

// release waits for the live agents, then deletes the DaemonSets. A dead node is not waited for;
// a node that hangs is waited for until the timeout.
func (r *Reconciler) release(ctx context.Context, mark *corev1.ConfigMap) (ctrl.Result, error) {
	p, err := r.progress(ctx, mark)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !p.done() {
		return ctrl.Result{RequeueAfter: min(releasePoll, p.left)}, nil
	}
	deleted, err := r.deleteDaemonSets(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	if deleted {
		r.tellReleased(ctx, mark, p)
	}
	return ctrl.Result{}, nil
}

func (r *Reconciler) tellReleased(ctx context.Context, mark *corev1.ConfigMap, p progress) {
	note := "Every live agent has let go; the DaemonSets are removed."
	kind, reason := corev1.EventTypeNormal, "Released"
	if len(p.holding) > 0 {
		kind, reason = corev1.EventTypeWarning, "ReleaseTimeout"
		note = fmt.Sprintf("The DaemonSets are removed, but in time %s did not let go: virtual addresses and IPVS entries may be left there until the next start of the node.", strings.Join(p.holding, ", "))
	}
	if len(p.dead) > 0 {
		note += fmt.Sprintf(" Not waited for, because silent: %s.", strings.Join(p.dead, ", "))
	}
	ctrl.LoggerFrom(ctx).Info("Released", "stillHolding", p.holding, "silent", p.dead)
	r.event(mark, kind, reason, "Release", note)
}

func (r *Reconciler) progress(ctx context.Context, mark *corev1.ConfigMap) (progress, error) {
	var leases coordinationv1.LeaseList
	if err := r.Client.List(ctx, &leases, client.InNamespace(r.Namespace)); err != nil {
		return progress{}, fmt.Errorf("list the agents' Leases: %w", err)
	}
	var nodes v1alpha1.TruePACSNodeList
	if err := r.Client.List(ctx, &nodes); err != nil {
		return progress{}, fmt.Errorf("list the TruePACSNodes: %w", err)
	}
	now := r.now()
	until := map[string]time.Time{}
	for i := range leases.Items {
		if node, ok := liveness.Node(&leases.Items[i]); ok {
			until[node] = r.Leases.Observe(&leases.Items[i], now)
		}
	}
	p := judge(until, nodes.Items, now)
	p.left = mark.CreationTimestamp.Add(timeout(mark)).Sub(now)
	return p, nil
}

// judge sorts the nodes that have a Lease by whether they must be waited for.
func judge(until map[string]time.Time, nodes []v1alpha1.TruePACSNode, now time.Time) progress {
	released := map[string]bool{}
	for i := range nodes {
		released[nodes[i].Name] = nodes[i].Status.Role == v1alpha1.NodeRoleReleased
	}
	var p progress
	for node, t := range until {
		switch {
		case released[node]:
		case t.After(now):
			p.holding = append(p.holding, node)
		default:
			p.dead = append(p.dead, node)
		}
	}
	slices.SortFunc(p.holding, cmp.Compare[string])
	slices.SortFunc(p.dead, cmp.Compare[string])
	return p
}

func timeout(mark *corev1.ConfigMap) time.Duration {
	seconds, err := strconv.ParseUint(mark.Data[TimeoutKey], 10, 16)
	if err != nil {
		return DefaultTimeout
	}
	return time.Duration(seconds) * time.Second
}

func (r *Reconciler) deleteDaemonSets(ctx context.Context) (deleted bool, err error) {
	for _, name := range []string{render.ProxyName, render.AgentName} {
		ds := &appsv1.DaemonSet{ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: name}}
		err := r.Client.Delete(ctx, ds, client.PropagationPolicy(metav1.DeletePropagationBackground))
		if client.IgnoreNotFound(err) != nil {
			return deleted, fmt.Errorf("delete DaemonSet %s: %w", name, err)
		}
		deleted = deleted || err == nil
	}
	return deleted, nil
}
