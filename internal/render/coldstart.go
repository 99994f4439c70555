package render

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/utils/ptr"

	"github.com/truepacs/balancer/internal/apply"
)

// ColdStartName is the name of the static pod that starts a director while the API server is
// down.
const ColdStartName = "truepacs-cold-start"

// nodeCriticalPriority is what the class system-node-critical stands for. A static pod needs the
// number: nobody looks the class up while the API server is down.
const nodeCriticalPriority = 2000001000

// ColdStartPod renders the static pod of a director: the containers of agent and proxy, with the
// powers that they have in the DaemonSets, in the mode --cold-start. A static pod may refer to no
// object of the API, so it has no account and no pull secrets, and it is no use to look for a
// newer image. The error can only come from an encoder and is a programming mistake.
func ColdStartPod(s Settings, namespace string) (*corev1ac.PodApplyConfiguration, error) {
	a, p := agent(s), proxy(s)
	if s.ImagePullPolicy == corev1.PullAlways {
		s.ImagePullPolicy = corev1.PullIfNotPresent
	}
	spec := a.common(s)
	spec.Containers = []corev1.Container{coldStart(spec), coldStart(p.common(s))}
	spec.SecurityContext = &corev1.PodSecurityContext{SupplementalGroups: spec.SecurityContext.SupplementalGroups}
	spec.TerminationGracePeriodSeconds = ptr.To(max(*a.pod.TerminationGracePeriodSeconds, *p.pod.TerminationGracePeriodSeconds))
	spec.ServiceAccountName, spec.ImagePullSecrets = "", nil
	spec.AutomountServiceAccountToken = ptr.To(false)
	spec.NodeSelector, spec.Tolerations = nil, nil // the kubelet starts it wherever the file is
	if spec.PriorityClassName == "system-node-critical" {
		spec.Priority = ptr.To[int32](nodeCriticalPriority)
	} else {
		spec.PriorityClassName = ""
	}
	pod := corev1.Pod{Spec: spec}
	pod.Labels = workload{name: ColdStartName, component: "cold-start"}.labels()
	delete(pod.Labels, "app.kubernetes.io/managed-by")
	ac := corev1ac.Pod(ColdStartName, namespace)
	if err := apply.Convert(pod, ac); err != nil {
		return nil, fmt.Errorf("render pod %s: %w", ColdStartName, err)
	}
	ac.Status = nil
	return ac, nil
}

// coldStart returns the container of a pod with what the pod said about its user, in the mode
// --cold-start.
func coldStart(pod corev1.PodSpec) corev1.Container {
	c := *pod.Containers[0].DeepCopy()
	c.Args = append(c.Args, "--cold-start")
	// Nothing waits for it to be ready.
	c.StartupProbe, c.ReadinessProbe = nil, nil
	c.LivenessProbe.InitialDelaySeconds = c.LivenessProbe.PeriodSeconds
	c.SecurityContext.RunAsUser = pod.SecurityContext.RunAsUser
	c.SecurityContext.RunAsGroup = pod.SecurityContext.RunAsGroup
	c.SecurityContext.RunAsNonRoot = pod.SecurityContext.RunAsNonRoot
	return c
}
