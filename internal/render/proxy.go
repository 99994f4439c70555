package render

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// proxyGraceSeconds is how long open DICOM associations and HTTP requests may take to end before
// a proxy that was replaced stops: 30 minutes.
const proxyGraceSeconds = 1800

// proxy has no power at all: no root, no capability, no API token. Listening sockets and
// configuration come from the agent over the run directory.
func proxy(s Settings) workload {
	c := corev1.Container{
		SecurityContext: restricted(),
		VolumeMounts:    []corev1.VolumeMount{{Name: "run", MountPath: RunDir}},
	}
	return workload{name: ProxyName, component: "proxy", role: s.Proxy, pod: corev1.PodSpec{
		Containers:                    []corev1.Container{c},
		AutomountServiceAccountToken:  ptr.To(false),
		TerminationGracePeriodSeconds: ptr.To[int64](proxyGraceSeconds),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsNonRoot: ptr.To(true),
			RunAsUser:    ptr.To(NonRoot),
			RunAsGroup:   ptr.To(NonRoot),
		},
		Volumes: []corev1.Volume{hostDir("run", s.HostPaths.Run, corev1.HostPathDirectoryOrCreate)},
	}}
}
