package preflight

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
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

// Forwarding reads what the host passes on. A host without IPv6 passes none of it on.
func (h Host) Forwarding() (Forwarding, error) {
	f := Forwarding{Interfaces: map[string]bool{}}
	v4, err := h.sysctl("net/ipv4/ip_forward")
	if err != nil {
		return f, err
	}
	v6, err := h.sysctl("net/ipv6/conf/all/forwarding")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	f.IPv4, f.IPv6 = v4 != 0, v6 != 0
	files, _ := filepath.Glob(filepath.Join(h.procfs(), "sys/net/ipv4/conf/*/forwarding")) // the pattern is well formed
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil { // else the interface is gone
			f.Interfaces[filepath.Base(filepath.Dir(file))] = strings.TrimSpace(string(text)) != "0"
		}
	}
	return f, nil
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
