package render

import (
	corev1 "k8s.io/api/core/v1"
)

// Settings are what an installation may choose about its agents and proxies. They come from the
// key settings.yaml of the ConfigMap truepacs-settings, which the operator has mounted.
//
// Every field that is absent from the file keeps the value Default gives it.
type Settings struct {
	// Image is the one image of agent and proxy, for example truepacs/balancer:v1.0.0. Required.
	Image string `json:"image"`
	// ImagePullPolicy is Always, IfNotPresent or Never. Default IfNotPresent.
	ImagePullPolicy corev1.PullPolicy `json:"imagePullPolicy,omitempty"`
	// ImagePullSecrets are names of Secrets in the operator's namespace, for the kubelet.
	ImagePullSecrets []string `json:"imagePullSecrets,omitempty"`
	// LogVerbosity is 0 (what an administrator needs) to 10 (everything). Default 0.
	LogVerbosity int32 `json:"logVerbosity,omitempty"`
	// PriorityClassName is the pods' priority class. Default system-node-critical: a node under
	// pressure evicts others before its load balancer.
	PriorityClassName string `json:"priorityClassName,omitempty"`
	// HostPaths are the directories on the nodes.
	HostPaths HostPaths `json:"hostPaths,omitempty"`
	// MarkRange are the firewall marks the agents may use.
	MarkRange MarkRange `json:"markRange,omitempty"`
	// Agent is particular to the agents.
	Agent Role `json:"agent,omitempty"`
	// Proxy is particular to the proxies.
	Proxy Role `json:"proxy,omitempty"`
}

// HostPaths are directories on the nodes. Inside the containers they are always RunDir, StateDir and
// ChecksDir.
type HostPaths struct {
	// Run holds the sockets between agent and proxy; it should not outlive a reboot. Default
	// /run/truepacs.
	Run string `json:"run,omitempty"`
	// State holds what the agent remembers over reboots. Default /var/lib/truepacs.
	State string `json:"state,omitempty"`
	// Checks holds the programs of health checks of type External, files of root that nobody else
	// can write. Default none: such checks are off.
	Checks string `json:"checks,omitempty"`
}

// MarkRange is a range of firewall marks (fwmark), both ends included: a power of two of marks,
// 65536 to 16777216, starting at a multiple of their number. The agents mark packets in it and
// touch no mark outside of it; no other software on the nodes may use it.
type MarkRange struct {
	// First is the lowest mark. Default 1409286144 (0x54000000).
	First uint32 `json:"first,omitempty"`
	// Last is the highest mark. Default 1426063359 (0x54ffffff).
	Last uint32 `json:"last,omitempty"`
}

// Role is what can be chosen for the agents and for the proxies each.
type Role struct {
	// NodeSelector selects the nodes it runs on. Default kubernetes.io/os: linux. Which of them
	// hold virtual addresses is said by each TruePACSBalancer.
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`
	// Tolerations let it run on tainted nodes.
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`
	// Resources are the container's requests and limits.
	Resources corev1.ResourceRequirements `json:"resources,omitempty"`
	// PodAnnotations are added to the pods.
	PodAnnotations map[string]string `json:"podAnnotations,omitempty"`
	// PodLabels are added to the pods; app.kubernetes.io/ and lb.truepacs.io/ are ours.
	PodLabels map[string]string `json:"podLabels,omitempty"`
}
