// Package coldstart is what serves a director that was started while the API server is down: the
// kubelet then starts no pod of a DaemonSet, but it does start static pods. An agent and a proxy
// in such a pod stand by while regular ones live, act from what is saved on the host when none
// does, and give the role back. They need no API server and no credentials.
//
// It may import dataplane/proxy, internal/turns and internal/wiring.
package coldstart
