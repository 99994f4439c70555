package agent

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers"
	"github.com/truepacs/balancer/internal/conditions"
	"github.com/truepacs/balancer/internal/node"
	"github.com/truepacs/balancer/internal/render"
	"github.com/truepacs/balancer/internal/translate"
)

// update reads what the API server shows and hands it on.
func (r *runner) update(ctx context.Context, store client.Reader, api client.Client, services *Services) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	seen, err := r.look(ctx, store, api)
	if err != nil {
		return err
	}
	next := accept(r.before, seen)
	u := node.Update{Balancers: next.balancers, Origin: next.origin}
	if u.Nodes, err = nodes(ctx, store); err != nil {
		return err
	}
	ours := r.ours(next.balancers, u.Nodes)
	if u.Secrets, err = r.secrets(ctx, api, ours); err != nil {
		return err
	}
	services.Watch(referenced(next.balancers, ours))
	u.Endpoints = services.Endpoints()
	released, err := r.releaseMark(ctx, store)
	if err != nil {
		return err
	}
	r.before = next
	r.note(next.lost, released)
	defer r.askForReport()
	if released {
		return r.node.Release()
	}
	return r.node.Update(ctx, u)
}

// note keeps what the reporter tells, and logs what is new.
func (r *runner) note(lost string, released bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if lost != "" && lost != r.lost {
		r.log.Info("kept: " + lost)
	}
	r.lost, r.released = lost, released
}

// look lists the balancers and finds out what may be believed about those that are missing.
func (r *runner) look(ctx context.Context, store client.Reader, api client.Client) (view, error) {
	v := view{complete: true, deleted: r.deletions(), namespaces: map[string]bool{}}
	var list v1alpha1.TruePACSBalancerList
	if err := store.List(ctx, &list); err != nil {
		return v, fmt.Errorf("list balancers: %w", err)
	}
	for i := range list.Items {
		v.listed = append(v.listed, &list.Items[i])
	}
	definition := crd()
	err := api.Get(ctx, client.ObjectKey{Name: crdName}, definition)
	switch {
	case err == nil && definition.DeletionTimestamp == nil:
		v.origin = string(definition.UID)
	case err != nil && !apierrors.IsNotFound(err):
		v.complete = false // while the API server does not answer, nothing goes
	}
	for _, b := range r.before.balancers {
		if has(v.listed, b) || v.namespaces[b.Namespace] {
			continue
		}
		var ns corev1.Namespace
		err := api.Get(ctx, client.ObjectKey{Name: b.Namespace}, &ns)
		if client.IgnoreNotFound(err) != nil {
			v.complete = false
		}
		v.namespaces[b.Namespace] = err == nil
	}
	return v, nil
}

func nodes(ctx context.Context, store client.Reader) ([]translate.NodeInfo, error) {
	var list corev1.NodeList
	if err := store.List(ctx, &list); err != nil {
		return nil, fmt.Errorf("list nodes: %w", err)
	}
	out := make([]translate.NodeInfo, 0, len(list.Items))
	for i := range list.Items {
		out = append(out, controllers.NodeInfo(&list.Items[i]))
	}
	return out, nil
}

// ours are the balancers whose director this node may be: only their Secrets are read.
func (r *runner) ours(balancers []*v1alpha1.TruePACSBalancer, nodes []translate.NodeInfo) []*v1alpha1.TruePACSBalancer {
	var own labels.Set
	for _, n := range nodes {
		if n.Name == r.options.Node {
			own = n.Labels
		}
	}
	var list []*v1alpha1.TruePACSBalancer
	for _, b := range balancers {
		if labels.SelectorFromSet(conditions.Selector(b.Spec.Directors)).Matches(own) {
			list = append(list, b)
		}
	}
	return list
}

// referenced are the Services to watch: those that this node needs as a server, and all of the
// balancers whose director it may be.
func referenced(all, ours []*v1alpha1.TruePACSBalancer) []types.NamespacedName {
	var out []types.NamespacedName
	for _, b := range all {
		out = append(out, translate.ServiceRefs(b, has(ours, b))...)
	}
	return out
}

// secrets reads the Secrets that balancers name.
func (r *runner) secrets(ctx context.Context, api client.Client, balancers []*v1alpha1.TruePACSBalancer) (map[types.NamespacedName]translate.Secret, error) {
	out := map[types.NamespacedName]translate.Secret{}
	for _, b := range balancers {
		for _, name := range translate.SecretRefs(b) {
			if _, known := out[name]; known {
				continue
			}
			var s corev1.Secret
			err := api.Get(ctx, name, &s)
			switch {
			case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
				// The agent may be confined to some namespaces: elsewhere nothing exists for it.
				out[name] = translate.Secret{}
			case err != nil:
				return nil, fmt.Errorf("read Secret %s: %w", name, err)
			default:
				out[name] = translate.Secret{Found: true, CertPEM: s.Data[corev1.TLSCertKey], KeyPEM: s.Data[corev1.TLSPrivateKeyKey], Data: s.Data}
			}
		}
	}
	return out, nil
}

// releaseMark tells whether the installation is being removed.
func (r *runner) releaseMark(ctx context.Context, store client.Reader) (bool, error) {
	var mark corev1.ConfigMap
	err := store.Get(ctx, client.ObjectKey{Namespace: r.options.Namespace, Name: render.ReleaseName}, &mark)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("look for the release mark: %w", err)
	}
	return err == nil, nil
}
