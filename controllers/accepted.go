package controllers

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/controllers/balancer"
	"github.com/truepacs/balancer/internal/translate"
)

// NodeInfo is what translation needs to know of a cluster node.
func NodeInfo(n *corev1.Node) translate.NodeInfo {
	info := translate.NodeInfo{Name: n.Name, Labels: n.Labels}
	for _, a := range n.Status.Addresses {
		if addr, err := netip.ParseAddr(a.Address); err == nil {
			info.Addresses = append(info.Addresses, addr)
		}
	}
	return info
}

// Rules are the rules across balancers: the operator asks the same translation as the agents.
type Rules struct{}

var _ balancer.Validator = Rules{}

// Accepted implements balancer.Validator.
func (Rules) Accepted(all []*v1alpha1.TruePACSBalancer, nodes []*corev1.Node) map[types.NamespacedName]metav1.Condition {
	in := translate.Input{Balancers: all}
	for _, n := range nodes {
		in.Nodes = append(in.Nodes, NodeInfo(n))
	}
	out := map[types.NamespacedName]metav1.Condition{}
	for name, result := range translate.Translate(in).Balancers {
		for _, c := range result.Conditions {
			if c.Type == v1alpha1.ConditionAccepted {
				out[name] = c.Meta(result.Generation)
			}
		}
	}
	return out
}
