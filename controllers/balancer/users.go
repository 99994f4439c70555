package balancer

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/internal/conditions"
)

// addressIndex finds the Services that have an address in the cache.
const addressIndex = "address"

// addressAnnotations are those by which a Service asks MetalLB and kube-vip for addresses.
func addressAnnotations() []string {
	return []string{"metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs", "kube-vip.io/loadbalancerIPs"}
}

// TrimService drops from a cached Service what says nothing of its addresses.
func TrimService(s *corev1.Service) {
	kept := map[string]string{}
	for _, key := range addressAnnotations() {
		if text := s.Annotations[key]; text != "" {
			kept[key] = text
		}
	}
	s.Annotations, s.Labels = kept, nil
	s.Spec = corev1.ServiceSpec{
		ClusterIP: s.Spec.ClusterIP, ClusterIPs: s.Spec.ClusterIPs, ExternalIPs: s.Spec.ExternalIPs, LoadBalancerIP: s.Spec.LoadBalancerIP,
	}
	s.Status.Conditions = nil
}

// addressesOf are all addresses that a Service has or asks for, in canonical form, each once.
func addressesOf(s *corev1.Service) []string {
	texts := slices.Concat([]string{s.Spec.ClusterIP, s.Spec.LoadBalancerIP}, s.Spec.ClusterIPs, s.Spec.ExternalIPs)
	for _, i := range s.Status.LoadBalancer.Ingress {
		texts = append(texts, i.IP)
	}
	for _, key := range addressAnnotations() {
		texts = append(texts, strings.Split(s.Annotations[key], ",")...)
	}
	found := sets.New[string]()
	for _, text := range texts {
		if a, err := netip.ParseAddr(strings.TrimSpace(text)); err == nil {
			found.Insert(a.Unmap().String())
		}
	}
	return sets.List(found)
}

func indexService(o client.Object) []string {
	if service, ok := o.(*corev1.Service); ok {
		return addressesOf(service)
	}
	return nil
}

// serviceMatters lets a Service through when its addresses change.
func serviceMatters() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !slices.Equal(indexService(e.ObjectOld), indexService(e.ObjectNew))
	}}
}

// ofService are the balancers with a virtual IP that the Service has.
func (r *Reconciler) ofService(ctx context.Context, o client.Object) []reconcile.Request {
	addresses := indexService(o)
	return slices.DeleteFunc(r.all(ctx, o), func(request reconcile.Request) bool {
		var b v1alpha1.TruePACSBalancer
		err := r.Client.Get(ctx, request.NamespacedName, &b)
		return err != nil || !slices.ContainsFunc(b.Spec.VirtualIPs, func(v v1alpha1.VirtualIP) bool { return slices.Contains(addresses, v.Address) })
	})
}

// gatherUsers looks who else in the cluster has a virtual IP.
func (r *Reconciler) gatherUsers(ctx context.Context, s *scope) error {
	for _, v := range s.balancer.Spec.VirtualIPs {
		address, err := netip.ParseAddr(v.Address)
		if err != nil {
			continue // refused elsewhere
		}
		var services corev1.ServiceList
		if err := r.Client.List(ctx, &services, client.MatchingFields{addressIndex: address.String()}); err != nil {
			return fmt.Errorf("list the Services with the address %s: %w", address, err)
		}
		names := map[string]bool{}
		for i := range services.Items {
			names[services.Items[i].Namespace+"/"+services.Items[i].Name] = true
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			s.input.Users = append(s.input.Users, conditions.User{VirtualIP: v.Name, Service: name})
		}
		if len(names) > 0 || r.Pools == nil {
			continue // a Service that has it says more than the pool it is from
		}
		if pool, found := r.Pools.find(address); found {
			s.input.Users = append(s.input.Users, conditions.User{VirtualIP: v.Name, Pool: pool.name, Range: pool.text})
		}
	}
	return nil
}
