package render

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"

	"github.com/truepacs/balancer/internal/apply"
)

// Place is where an installation lives.
type Place struct {
	// Namespace is the operator's.
	Namespace string
	// Version is the operator's version, for the label app.kubernetes.io/version; empty: no label.
	Version string
	// Owners holds the ServiceAccount of each DaemonSet by name (AgentName, ProxyName). Deleting
	// the account deletes the DaemonSet. Absent: no owner.
	Owners map[string]metav1.OwnerReference
}

// DaemonSets renders the agents' and the proxies' DaemonSet, in this order, ready for
// server-side apply. The error can only come from an encoder and is a programming mistake.
func DaemonSets(s Settings, p Place) ([]*appsv1ac.DaemonSetApplyConfiguration, error) {
	var out []*appsv1ac.DaemonSetApplyConfiguration
	for _, w := range []workload{agent(s), proxy(s)} {
		ds, err := w.daemonSet(s, p)
		if err != nil {
			return nil, fmt.Errorf("render DaemonSet %s: %w", w.name, err)
		}
		out = append(out, ds)
	}
	return out, nil
}

// workload is what differs between agent and proxy.
type workload struct {
	name      string
	component string
	role      Role
	pod       corev1.PodSpec
}

func (w workload) daemonSet(s Settings, p Place) (*appsv1ac.DaemonSetApplyConfiguration, error) {
	template, err := w.template(s)
	if err != nil {
		return nil, err
	}
	ds := appsv1.DaemonSet{
		ObjectMeta: metav1.ObjectMeta{Labels: w.labels()},
		Spec: appsv1.DaemonSetSpec{
			Selector:       &metav1.LabelSelector{MatchLabels: map[string]string{NameLabel: w.name}},
			UpdateStrategy: surge(),
			Template:       template,
		},
	}
	if p.Version != "" {
		ds.Labels["app.kubernetes.io/version"] = p.Version
	}
	if owner, ok := p.Owners[w.name]; ok {
		ds.OwnerReferences = []metav1.OwnerReference{owner}
	}
	ac := appsv1ac.DaemonSet(w.name, p.Namespace)
	if err := apply.Convert(ds, ac); err != nil {
		return nil, err
	}
	ac.Status = nil
	return ac, nil
}

// surge starts the new pod before the old one stops: it becomes ready as standby, takes over the
// sockets, and only then the old one goes.
func surge() appsv1.DaemonSetUpdateStrategy {
	one, none := intstr.FromInt32(1), intstr.FromInt32(0)
	return appsv1.DaemonSetUpdateStrategy{
		Type:          appsv1.RollingUpdateDaemonSetStrategyType,
		RollingUpdate: &appsv1.RollingUpdateDaemonSet{MaxSurge: &one, MaxUnavailable: &none},
	}
}

// labels leaves the version out: on the pods it would roll every director when the operator alone
// is renewed.
func (w workload) labels() map[string]string {
	return map[string]string{
		NameLabel:                      w.name,
		"app.kubernetes.io/component":  w.component,
		"app.kubernetes.io/part-of":    "truepacs-balancer",
		"app.kubernetes.io/managed-by": "truepacs-operator",
	}
}

func (w workload) template(s Settings) (corev1.PodTemplateSpec, error) {
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{}, Annotations: map[string]string{}},
		Spec:       w.common(s),
	}
	maps.Copy(template.Labels, w.role.PodLabels)
	maps.Copy(template.Labels, w.labels())
	maps.Copy(template.Annotations, w.role.PodAnnotations)
	template.Annotations["kubectl.kubernetes.io/default-container"] = w.component
	text, err := json.Marshal(template)
	if err != nil {
		return corev1.PodTemplateSpec{}, err
	}
	sum := sha256.Sum256(text)
	template.Annotations[TemplateHash] = hex.EncodeToString(sum[:8])
	return template, nil
}
