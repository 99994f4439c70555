package render

import (
	"maps"
	"slices"
)

// Names of what an installation consists of, all in the operator's namespace.
const (
	// AgentName is the name of the agents' DaemonSet and ServiceAccount.
	AgentName = "truepacs-agent"
	// ProxyName is the name of the proxies' DaemonSet and ServiceAccount.
	ProxyName = "truepacs-proxy"
	// SettingsName is the name of the ConfigMap with the settings file.
	SettingsName = "truepacs-settings"
	// ReleaseName is the name of the ConfigMap whose existence asks all agents to let go of
	// everything.
	ReleaseName = "truepacs-release"
)

// Labels and annotations of what is rendered.
const (
	// NameLabel is the label that the DaemonSets select their pods by, and the one another
	// installation is recognised by.
	NameLabel = "app.kubernetes.io/name"
	// TemplateHash is the pod annotation with the hash of the pod's template, to see at a glance
	// which pods already have the newest settings.
	TemplateHash = "lb.truepacs.io/template-hash"
)

// Directories inside the containers, whatever HostPaths says.
const (
	// RunDir holds the sockets between agent and proxy.
	RunDir = "/run/truepacs"
	// StateDir holds what the agent remembers over reboots.
	StateDir = "/var/lib/truepacs"
	// ChecksDir holds the administrator's check programs, read-only.
	ChecksDir = "/etc/truepacs/checks"
	// SysctlDir is the host's /proc/sys/net, writable: the agent sets net.ipv4.vs.* and
	// forwarding there.
	SysctlDir = "/host/proc/sys/net"
)

// NonRoot is the user and group of the proxy, and the supplementary group of the agent, which so
// can give it its sockets without CAP_CHOWN.
const NonRoot int64 = 65532

func sortedKeys[K ~string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
