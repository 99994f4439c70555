package controllers_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// service is a Service with a port.
func service(ns, name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name, Labels: map[string]string{"app": name}},
		Spec:       corev1.ServiceSpec{Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80}}},
	}
}

// soundAgain waits until nobody else in the cluster is named, and returns how long that took.
func soundAgain(t *testing.T, b *v1alpha1.TruePACSBalancer) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, "the finding is over", func(ctx context.Context) error {
		got, err := fetch(ctx, b)
		if err != nil {
			return err
		}
		c := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionNetworkSound)
		if c == nil || c.Reason == v1alpha1.ReasonUsedInCluster || strings.Contains(c.Message, "Service") {
			return fmt.Errorf("it is %+v", c)
		}
		return nil
	})
	return time.Since(began)
}

// usedBy waits until the condition names a second owner, and returns how long that took.
func usedBy(t *testing.T, b *v1alpha1.TruePACSBalancer, parts ...string) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, strings.Join(parts, ", ")+" is named", func(ctx context.Context) error {
		got, err := fetch(ctx, b)
		if err != nil {
			return err
		}
		c := meta.FindStatusCondition(got.Status.Conditions, v1alpha1.ConditionNetworkSound)
		if c == nil || c.Status != isFalse || c.Reason != v1alpha1.ReasonUsedInCluster {
			return fmt.Errorf("it is %+v", c)
		}
		for _, part := range append(parts, "192.0.2.100 (spec.virtualIPs name main)") {
			if !strings.Contains(c.Message, part) {
				return fmt.Errorf("the message does not say %q: %s", part, c.Message)
			}
		}
		return nil
	})
	return time.Since(began)
}

// TestVirtualIPThatAServiceHas gives a Service the balancer's address in every way that a Service
// can have one, and takes it away: the operator, with the rights of its ServiceAccount, says so.
func TestVirtualIPThatAServiceHas(t *testing.T) {
	operator(t)
	node(t, "node-1", director())
	ns := namespace(t)
	b := create(t, ns, "radiology")
	soundAgain(t, b)
	annotated := func(key string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Annotations = map[string]string{key: "192.0.2.99, 192.0.2.100"} }
	}
	for name, change := range map[string]func(*corev1.Service){
		"external": func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"192.0.2.100"} },
		"requested": func(s *corev1.Service) {
			s.Spec.Type, s.Spec.LoadBalancerIP = corev1.ServiceTypeLoadBalancer, "192.0.2.100"
		},
		"metallb":    annotated("metallb.io/loadBalancerIPs"),
		"metallbold": annotated("metallb.universe.tf/loadBalancerIPs"),
		"kubevip":    annotated("kube-vip.io/loadbalancerIPs"),
	} {
		s := service(ns, name)
		change(s)
		must(t, cluster.admin.Create(t.Context(), s))
		named := usedBy(t, b, "Service "+ns+"/"+name, "kubectl edit service --namespace "+ns+" "+name)
		must(t, cluster.admin.Delete(t.Context(), s))
		t.Logf("%s: named after %s, cleared after %s", name, named.Round(time.Millisecond), soundAgain(t, b).Round(time.Millisecond))
	}
	// What a load balancer's controller assigned is in the status.
	s := service(ns, "assigned")
	s.Spec.Type = corev1.ServiceTypeLoadBalancer
	must(t, cluster.admin.Create(t.Context(), s))
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.100"}}
	must(t, cluster.admin.Status().Update(t.Context(), s))
	usedBy(t, b, "Service "+ns+"/assigned")
	told(t, ns, b.Name, v1alpha1.ReasonUsedInCluster)
	s.Status.LoadBalancer.Ingress[0].IP = "192.0.2.102"
	must(t, cluster.admin.Status().Update(t.Context(), s))
	soundAgain(t, b)
}

// TestVirtualIPInAPoolOfMetalLB installs the kind IPAddressPool while the operator runs, makes a
// pool with the balancer's address in it, and mends the pool.
func TestVirtualIPInAPoolOfMetalLB(t *testing.T) {
	operator(t)
	node(t, "node-1", director())
	ns := namespace(t)
	b := create(t, ns, "radiology")
	soundAgain(t, b)
	definition := poolDefinition()
	must(t, cluster.admin.Create(t.Context(), definition))
	t.Cleanup(func() { must(t, client.IgnoreNotFound(cluster.admin.Delete(context.Background(), definition))) })
	pool := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": map[string]any{"name": "pacs", "namespace": ns},
		"spec": map[string]any{"addresses": []any{"203.0.113.0/24", "192.0.2.90-192.0.2.110"}},
	}}
	eventually(t, "the kind is served", func(ctx context.Context) error { return cluster.admin.Create(ctx, pool) })
	named := usedBy(t, b, ns+"/pacs (192.0.2.90-192.0.2.110)", "kubectl edit ipaddresspools.metallb.io --namespace "+ns+" pacs")
	must(t, unstructured.SetNestedStringSlice(pool.Object, []string{"203.0.113.0/24", "192.0.2.90-192.0.2.99"}, "spec", "addresses"))
	must(t, cluster.admin.Update(t.Context(), pool))
	t.Logf("MetalLB's pool: named after %s, cleared after %s", named.Round(time.Millisecond), soundAgain(t, b).Round(time.Millisecond))
	must(t, unstructured.SetNestedStringSlice(pool.Object, []string{"192.0.2.0/24"}, "spec", "addresses"))
	must(t, cluster.admin.Update(t.Context(), pool))
	usedBy(t, b, "192.0.2.0/24")
	must(t, cluster.admin.Delete(t.Context(), definition))
	soundAgain(t, b)
}

// poolDefinition is as much of MetalLB's CustomResourceDefinition as its API promises.
func poolDefinition() *unstructured.Unstructured {
	d := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "ipaddresspools.metallb.io"},
		"spec": map[string]any{
			"group": "metallb.io", "scope": "Namespaced",
			"names": map[string]any{"kind": "IPAddressPool", "listKind": "IPAddressPoolList", "plural": "ipaddresspools", "singular": "ipaddresspool"},
			"versions": []any{map[string]any{"name": "v1beta1", "served": true, "storage": true, "schema": map[string]any{
				"openAPIV3Schema": map[string]any{"type": "object", "x-kubernetes-preserve-unknown-fields": true},
			}}},
		},
	}}
	d.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	return d
}
