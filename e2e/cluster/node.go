package cluster

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/truepacs/balancer/e2e/cluster/controlplane"
)

// kubeletEnvironment is the file without which the kubelet's unit does not start.
const kubeletEnvironment = "/etc/kubernetes/kubelet.env"

// StaticPodDir is the kubelet's directory of static pods.
const StaticPodDir = "/etc/kubernetes/manifests"

func kubeletArguments(name string, address netip.Addr, labels map[string]string) string {
	args := []string{"--hostname-override=" + name, "--node-ip=" + address.String()}
	if len(labels) > 0 {
		var list []string
		for _, key := range slices.Sorted(maps.Keys(labels)) {
			list = append(list, key+"="+labels[key])
		}
		args = append(args, "--node-labels="+strings.Join(list, ","))
	}
	return strings.Join(args, " ")
}

// kubeletConfiguration is kubelet.config.k8s.io/v1beta1 with the release's defaults but for what an emulated
// machine without swap accounting, cloud or disk pressure needs.
func kubeletConfiguration(gates map[string]bool) string {
	text := `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: /etc/kubernetes/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: /etc/kubernetes/kubelet.crt
tlsPrivateKeyFile: /etc/kubernetes/kubelet.key
cgroupDriver: systemd
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
staticPodPath: ` + StaticPodDir + `
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
imageGCHighThresholdPercent: 100
resolvConf: ""
`
	if len(gates) > 0 {
		text += "featureGates:\n"
	}
	for _, name := range slices.Sorted(maps.Keys(gates)) {
		text += fmt.Sprintf("  %s: %t\n", name, gates[name])
	}
	return text
}

// serviceRules stand in for kube-proxy: they lead the cluster address of the Service "kubernetes" to the API
// server. The table belongs to no product under test.
func serviceRules(server netip.Addr, port int) string {
	rule := fmt.Sprintf("ip daddr %s tcp dport 443 dnat to %s:%d", controlplane.ServiceAddress(), server, port)
	return fmt.Sprintf(`table ip cluster-service
delete table ip cluster-service
table ip cluster-service {
  chain prerouting { type nat hook prerouting priority -100; %[1]s; }
  chain output { type nat hook output priority -100; %[1]s; }
}
`, rule)
}

// cniConfiguration gives pods without host network addresses of 10.244.<worker>.0/24.
func cniConfiguration(index int) string {
	return fmt.Sprintf(`{
  "cniVersion": "0.4.0", "name": "bridge",
  "plugins": [
    {"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true,
     "ipam": {"type": "host-local", "ranges": [[{"subnet": "%s"}]]}},
    {"type": "portmap", "capabilities": {"portMappings": true}}
  ]
}
`, podSubnet(index))
}

// podRoutes lead to the pods of the other workers, and make the range of cluster addresses routable so that
// packets get as far as serviceRules; a drop-in of the unit that prepares the network.
func podRoutes(index, workers int) string {
	text := fmt.Sprintf("[Service]\nExecStart=/sbin/ip route replace %s via %s\n", controlplane.ServiceCIDR, host(apiServerHost))
	for n := range workers {
		if n != index {
			text += fmt.Sprintf("ExecStart=/sbin/ip route replace %s via %s\n", podSubnet(n), host(apiServerHost+1+n))
		}
	}
	return text
}

func podSubnet(index int) netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 244, byte(index), 0}), prefixLength)
}
