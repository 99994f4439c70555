package render

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

// agentGraceSeconds is how long an agent may take to hand over.
const agentGraceSeconds = 60

// agent is root without the powers of root but three: NET_ADMIN (addresses, IPVS, nftables),
// NET_RAW (ARP) and NET_BIND_SERVICE (it opens port 104 and 443 for the proxy). Root owns
// /proc/sys, so no more is needed to write net.ipv4.vs.* and forwarding.
func agent(s Settings) workload {
	c := corev1.Container{
		Args: []string{
			fmt.Sprintf("--mark-range=%d-%d", s.MarkRange.First, s.MarkRange.Last),
			"--sysctl-dir=" + SysctlDir,
		},
		SecurityContext: restricted("NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE"),
		VolumeMounts: []corev1.VolumeMount{
			{Name: "run", MountPath: RunDir},
			{Name: "state", MountPath: StateDir},
			{Name: "sysctl", MountPath: SysctlDir},
		},
	}
	volumes := []corev1.Volume{
		hostDir("run", s.HostPaths.Run, corev1.HostPathDirectoryOrCreate),
		hostDir("state", s.HostPaths.State, corev1.HostPathDirectoryOrCreate),
		hostDir("sysctl", "/proc/sys/net", corev1.HostPathUnset),
	}
	if s.HostPaths.Checks != "" {
		c.Args = append(c.Args, "--checks-dir="+ChecksDir)
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "checks", MountPath: ChecksDir, ReadOnly: true})
		// Created if it is missing, so that a node without programs still gets its agent.
		volumes = append(volumes, hostDir("checks", s.HostPaths.Checks, corev1.HostPathDirectoryOrCreate))
	}
	return workload{name: AgentName, component: "agent", role: s.Agent, pod: corev1.PodSpec{
		Containers:                    []corev1.Container{c},
		TerminationGracePeriodSeconds: ptr.To[int64](agentGraceSeconds),
		SecurityContext: &corev1.PodSecurityContext{
			RunAsUser:          ptr.To[int64](0),
			RunAsGroup:         ptr.To[int64](0),
			SupplementalGroups: []int64{NonRoot},
		},
		Volumes: volumes,
	}}
}
