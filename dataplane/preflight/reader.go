package preflight

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/truepacs/balancer/dataplane/model"
)

// Host reads facts of this host. The zero value reads the host that it runs on.
type Host struct {
	// Procfs is where proc is mounted; empty: /proc.
	Procfs string
	// Flags returns the flags of an interface (ETHTOOL_GFLAGS, linux/ethtool.h); nil: its driver is
	// asked.
	Flags func(name string) (uint32, error)
	// Holders remember the programs of sockets between calls; nil: they are looked for each time.
	Holders *Holders
}

func (h Host) procfs() string {
	if h.Procfs == "" {
		return "/proc"
	}
	return h.Procfs
}

// Interface completes what is known of an interface: name, MTU and addresses are the caller's.
func (h Host) Interface(i Interface) (Interface, error) {
	all, errAll := h.sysctl("net/ipv4/conf/all/rp_filter")
	own, errOwn := h.sysctl("net/ipv4/conf/" + i.Name + "/rp_filter")
	read := h.Flags
	if read == nil {
		read = driverFlags
	}
	flags, errLRO := read(i.Name)
	i.RPFilter, i.LRO = max(all, own), flags&FlagLRO != 0
	if mtu, err := h.sysctl("net/ipv6/conf/" + i.Name + "/mtu"); err == nil { // there is none without IPv6
		i.MTU6 = mtu
	}
	return i, errors.Join(errAll, errOwn, errLRO)
}

// Forwarding tells whether the host, or an interface of it, forwards IPv4: mode L4SNAT needs that of
// the interface that faces the servers, which the agent sets.
func (h Host) Forwarding() (bool, error) {
	value, err := h.sysctl("net/ipv4/ip_forward")
	if value != 0 || err != nil {
		return value != 0, err
	}
	files, _ := filepath.Glob(filepath.Join(h.procfs(), "sys/net/ipv4/conf/*/forwarding")) // the pattern is well formed
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && strings.TrimSpace(string(text)) == "1" {
			return true, nil
		}
	}
	return false, nil
}

func (h Host) sysctl(name string) (int, error) {
	text, err := os.ReadFile(filepath.Join(h.procfs(), "sys", name))
	if err != nil {
		return 0, fmt.Errorf("read a setting: %w", err)
	}
	value, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("read %s: %w", name, err)
	}
	return value, nil
}

// Sockets returns the sockets of all programs on the ports of layer 7 listeners.
func (h Host) Sockets(node model.Node) ([]Socket, error) {
	ports := map[uint16]bool{}
	for _, l := range node.Proxy.Listeners {
		ports[l.Address.Port()] = true
	}
	if len(ports) == 0 {
		return nil, nil
	}
	holders := h.Holders
	if holders == nil {
		holders = &Holders{}
	}
	return sockets(ports, h.procfs(), holders)
}

// KubeProxy tells whether kube-proxy runs in IPVS mode here, by the interface that it makes.
func (h Host) KubeProxy() bool {
	_, err := os.Stat(filepath.Join(h.procfs(), "sys/net/ipv4/conf/kube-ipvs0"))
	return err == nil
}

// MTU is the largest packet in bytes that a server of the same segment answers, at most largest;
// 0: it does not answer, as a firewall may have it.
func (Host) MTU(ctx context.Context, server netip.Addr, largest int) (int, error) {
	return largestAnswered(ctx, largest, leastOf(server), func(ctx context.Context, size int) (bool, error) { return echo(ctx, server, size) })
}
