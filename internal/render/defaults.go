package render

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// The default marks, the same as those of internal/translate.
const (
	defaultFirstMark = 0x54000000
	defaultLastMark  = 0x54ffffff
)

// Default returns the settings of an empty settings file. Only Image is missing.
func Default() Settings {
	return Settings{
		ImagePullPolicy:   corev1.PullIfNotPresent,
		PriorityClassName: "system-node-critical",
		HostPaths:         HostPaths{Run: RunDir, State: StateDir},
		MarkRange:         MarkRange{First: defaultFirstMark, Last: defaultLastMark},
		Agent:             defaultRole("50m", "64Mi"),
		Proxy:             defaultRole("100m", "128Mi"),
	}
}

// defaultRole sets requests and no limits: a CPU limit throttles a data path, and a memory limit
// kills it on the busiest day.
func defaultRole(cpu, memory string) Role {
	return Role{
		NodeSelector: map[string]string{"kubernetes.io/os": "linux"},
		Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{
			corev1.ResourceCPU:    resource.MustParse(cpu),
			corev1.ResourceMemory: resource.MustParse(memory),
		}},
	}
}
