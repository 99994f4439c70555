package controlplane

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/truepacs/balancer/e2e/cluster/binaries"
)

// Address ranges of the cluster. Pods of worker n (from 0) live in 10.244.n.0/24.
const (
	ServiceCIDR = "10.96.0.0/16"
	PodCIDR     = "10.244.0.0/16"
)

// ServiceAddress is the cluster address of the Service "kubernetes", the API server as pods see it.
func ServiceAddress() netip.Addr { return netip.AddrFrom4([4]byte{10, 96, 0, 1}) }

// ports that the components listen on, apart from the address of the API server all on loopback.
type ports struct{ api, etcd, etcdPeer uint16 }

// paths turns a file name into its absolute path in the data directory.
type paths func(elem ...string) string

func (c *ControlPlane) arguments(component Component) ([]string, error) {
	switch component {
	case binaries.Etcd:
		return etcdArguments(c.group.Path, c.ports), nil
	case binaries.APIServer:
		return apiServerArguments(c.group.Path, c.ports, c.opts), nil
	case binaries.ControllerManager:
		return controllerManagerArguments(c.group.Path, c.opts), nil
	case binaries.Scheduler:
		return schedulerArguments(c.group.Path, c.opts), nil
	}
	return nil, fmt.Errorf("%s is no component of the control plane", component)
}

// etcdArguments trade durability for speed: the data need to survive the end of a process, not of the machine.
func etcdArguments(in paths, p ports) []string {
	client, peer := loopbackURL(p.etcd), loopbackURL(p.etcdPeer)
	return []string{
		"--name=test", "--data-dir=" + in("etcd"), "--unsafe-no-fsync", "--log-level=warn",
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
		"--initial-cluster=test=" + peer,
	}
}

func apiServerArguments(in paths, p ports, o Options) []string {
	args := []string{
		"--etcd-servers=" + loopbackURL(p.etcd),
		"--bind-address=" + o.Address.String(), "--advertise-address=" + o.Address.String(),
		"--secure-port=" + strconv.Itoa(int(p.api)),
		"--tls-cert-file=" + in("apiserver.crt"), "--tls-private-key-file=" + in("apiserver.key"),
		"--client-ca-file=" + in("ca.crt"),
		"--kubelet-client-certificate=" + in("kubelet-client.crt"), "--kubelet-client-key=" + in("kubelet-client.key"),
		"--kubelet-certificate-authority=" + in("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + in("service-account.crt"),
		"--service-account-signing-key-file=" + in("service-account.key"),
		"--service-cluster-ip-range=" + ServiceCIDR,
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true", "--anonymous-auth=true",
		"--profiling=false", "--event-ttl=1h",
	}
	if o.Address.IsLoopback() {
		args = append(args, "--endpoint-reconciler-type=none") // a loopback address is no valid endpoint
	}
	return append(args, featureGates(o.FeatureGates)...)
}

func controllerManagerArguments(in paths, o Options) []string {
	return append([]string{
		"--kubeconfig=" + in("controller-manager.kubeconfig"),
		"--use-service-account-credentials=true",
		"--service-account-private-key-file=" + in("service-account.key"), "--root-ca-file=" + in("ca.crt"),
		"--cluster-signing-cert-file=" + in("ca.crt"), "--cluster-signing-key-file=" + in("ca.key"),
		"--allocate-node-cidrs=false", "--cluster-cidr=" + PodCIDR, "--service-cluster-ip-range=" + ServiceCIDR,
		"--leader-elect=false", "--secure-port=0", "--profiling=false",
	}, featureGates(o.FeatureGates)...)
}

func schedulerArguments(in paths, o Options) []string {
	return append([]string{
		"--kubeconfig=" + in("scheduler.kubeconfig"), "--leader-elect=false", "--secure-port=0", "--profiling=false",
	}, featureGates(o.FeatureGates)...)
}

func featureGates(gates map[string]bool) []string {
	if len(gates) == 0 {
		return nil
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(gates)) {
		list = append(list, name+"="+strconv.FormatBool(gates[name]))
	}
	return []string{"--feature-gates=" + strings.Join(list, ",")}
}

func loopbackURL(port uint16) string { return "http://127.0.0.1:" + strconv.Itoa(int(port)) }
