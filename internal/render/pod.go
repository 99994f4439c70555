package render

import (
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// binary is the program's path in the image.
const binary = "/truepacs"

// common completes a workload's pod with what agent and proxy share. No ports are declared: on
// the host network they would become host ports, and the surging pod could never be scheduled
// beside the old one.
func (w workload) common(s Settings) corev1.PodSpec {
	pod := w.pod
	pod.ServiceAccountName = w.name
	pod.HostNetwork = true
	pod.DNSPolicy = corev1.DNSClusterFirstWithHostNet
	pod.PriorityClassName = s.PriorityClassName
	pod.NodeSelector = w.role.NodeSelector
	pod.Tolerations = w.role.Tolerations
	for _, name := range s.ImagePullSecrets {
		pod.ImagePullSecrets = append(pod.ImagePullSecrets, corev1.LocalObjectReference{Name: name})
	}
	pod.Containers = slices.Clone(pod.Containers)
	c := &pod.Containers[0]
	c.Name = w.component
	c.Image = s.Image
	c.ImagePullPolicy = s.ImagePullPolicy
	c.Command = []string{binary}
	c.Args = append([]string{w.component}, append(c.Args, "--verbosity="+strconv.Itoa(int(s.LogVerbosity)))...)
	c.Env = []corev1.EnvVar{fromField("NODE_NAME", "spec.nodeName"), fromField("POD_NAME", "metadata.name"), fromField("POD_NAMESPACE", "metadata.namespace")}
	c.Resources = w.role.Resources
	c.TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
	setProbes(c, w.component)
	return pod
}

func fromField(name, path string) corev1.EnvVar {
	return corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{APIVersion: "v1", FieldPath: path}}}
}

// setProbes lets the program ask itself over its own socket: an HTTP probe would need a port of
// the host. Liveness is seldom asked, patient and slow to judge, because killing a proxy cuts
// associations: on a node under load the start of the probe itself takes seconds.
func setProbes(c *corev1.Container, component string) {
	c.StartupProbe = probe(2, 60, component)
	c.ReadinessProbe = probe(10, 2, component, "--ready")
	c.LivenessProbe = probe(30, 4, component)
	c.LivenessProbe.TimeoutSeconds = livenessTimeout
}

// livenessTimeout is in seconds.
const livenessTimeout = 20

func probe(period, failures int32, args ...string) *corev1.Probe {
	return &corev1.Probe{
		ProbeHandler:     corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: append([]string{binary, "probe"}, args...)}},
		PeriodSeconds:    period,
		TimeoutSeconds:   5,
		FailureThreshold: failures,
	}
}

func hostDir(name, path string, kind corev1.HostPathType) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path, Type: ptr.To(kind)}}}
}

func restricted(add ...corev1.Capability) *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false),
		ReadOnlyRootFilesystem:   ptr.To(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: add},
		SeccompProfile:           &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}
