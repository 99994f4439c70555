package wiring

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netlink"

	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/keeper"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/netif/forwarding"
	"github.com/truepacs/balancer/dataplane/netif/netwatch"
	"github.com/truepacs/balancer/dataplane/nft"
	"github.com/truepacs/balancer/dataplane/preflight"
	"github.com/truepacs/balancer/dataplane/realserver"
	"github.com/truepacs/balancer/internal/inspect"
	"github.com/truepacs/balancer/internal/node"
	"github.com/truepacs/balancer/internal/translate"
	"github.com/truepacs/balancer/internal/turns"
)

// ProxyGroup is the group, and in pods the user, that the proxy runs as.
const ProxyGroup = 65532

// Options say where a Host keeps its things.
type Options struct {
	Log logr.Logger
	// RunDir is on tmpfs: lock, sockets, private keys.
	RunDir string
	// StateDir is on disk: the model, and what was changed on a real server.
	StateDir string
	// SysctlDir is where /proc/sys/net of the host can be written.
	SysctlDir string
	// Marks is the range of firewall marks.
	Marks translate.MarkRange
	// ChecksDir is the administrator's directory of check programs; empty: they are off.
	ChecksDir string
	// Resync is the time between two looks at the kernel while nothing changes. Absent: 10 s.
	Resync time.Duration
	// OnChange is called when there may be something new to report; it must not block.
	OnChange func()
}

// answerTimeout is how long the kernel may take for each answer to a question about interfaces,
// addresses and routes, which takes microseconds; one that does not come must not hold up the rest.
const answerTimeout = 5 * time.Second

// Host is everything on one host that acts: drivers, agent and the keeper of sockets.
type Host struct {
	Agent  *agent.Agent
	Keeper *keeper.Server
	ipvs   *ipvs.Driver
	netif  *netif.Driver
	nft    *nft.Driver
	closer func() error
	log    logr.Logger
	runDir string
}

// New joins drivers and agent; nothing but the folders is touched before Run, which ends what New
// starts.
func New(o Options) (*Host, error) {
	if err := Prepare(o); err != nil {
		return nil, err
	}
	return join(o)
}

// Prepare makes the folders, and what proxies need in RunDir before an agent acts.
func Prepare(o Options) error {
	for _, dir := range []struct {
		path string
		mode os.FileMode
	}{{o.RunDir, 0o750}, {o.StateDir, 0o700}} {
		if err := os.MkdirAll(dir.path, dir.mode); err != nil {
			return fmt.Errorf("make the folder %s: %w", dir.path, err)
		}
	}
	// The proxy is not root and has to reach its socket in RunDir.
	if err := errors.Join(os.Chown(o.RunDir, -1, ProxyGroup), os.Chmod(o.RunDir, 0o750)); err != nil {
		return fmt.Errorf("let group %d into %s: %w", ProxyGroup, o.RunDir, err)
	}
	return turns.Prepare(o.RunDir, ProxyGroup)
}

func join(o Options) (*Host, error) {
	h := &Host{log: o.Log, runDir: o.RunDir}
	config, err := h.config(o)
	if err != nil {
		return nil, err
	}
	h.Agent = agent.New(config)
	return h, nil
}

// config makes the drivers and what the agent is told about them.
func (h *Host) config(o Options) (agent.Config, error) {
	// All netlink sockets of the process have this; the library's own default is a minute.
	if err := netlink.SetSocketTimeout(answerTimeout); err != nil {
		return agent.Config{}, fmt.Errorf("set how long the kernel may take to answer: %w", err)
	}
	// Drivers and checks report through wake, the agent is made last.
	wake := func() { h.Agent.Wake() }
	checker, err := newChecker(o, wake)
	if err != nil {
		return agent.Config{}, err
	}
	h.ipvs = ipvs.New(ipvs.Config{
		Kernel:    &ipvs.Netlink{},
		Marks:     ipvs.Marks{Base: o.Marks.Base, Mask: ^uint32(0) << o.Marks.Bits},
		SysctlDir: filepath.Join(o.SysctlDir, "ipv4", "vs"),
		// Which settings are ours is remembered across restarts, as of forwarding.
		RecordPath: filepath.Join(o.StateDir, "ipvs.json"), Boot: realserver.Rtnetlink{}.Boot(), Log: o.Log,
	})
	claims := announce.NewClaims(announce.ClaimsConfig{Prober: announce.Prober{Network: announce.Sockets{}}, Log: o.Log, Wake: wake})
	h.netif = netif.NewGated(netif.Rtnetlink{}, claims)
	h.nft = nft.New(nft.Config{Kernel: nft.Netfilter{}})
	announcer := announce.New(announce.Config{Network: announce.Sockets{}, Log: o.Log})
	h.closer = func() error { return errors.Join(announcer.Close(), claims.Close()) }
	h.Keeper = keeper.NewServer(keeper.ServerConfig{
		Log: o.Log, Path: SocketPath(o.RunDir), Group: ProxyGroup, OnChange: wake,
	})
	return agent.Config{
		Log:         o.Log,
		Store:       &agent.Store{Dir: o.StateDir, SecretDir: o.RunDir},
		Drivers:     h.drivers(o, announcer, checker),
		Watcher:     netwatch.Watcher{Table: nft.DefaultTable},
		Resync:      o.Resync,
		SurveyEvery: surveyEvery,
		OnChange:    o.OnChange,
	}, nil
}

func (h *Host) drivers(o Options, announcer *announce.Announcer, checker agent.Checker) agent.Drivers {
	return agent.Drivers{
		VirtualServer: &virtualServer{
			balancer: h.ipvs, routes: netif.Rtnetlink{}.Routes,
			forwarding: forwarding.New(forwarding.Config{
				Dir: o.SysctlDir, RecordPath: filepath.Join(o.StateDir, "forwarding.json"),
				Boot: realserver.Rtnetlink{}.Boot(), Log: o.Log,
			}),
		},
		PacketFilter: packetFilter{h.nft, h.netif},
		Addresses:    holder{h.netif, announcer},
		Announcer:    announcer,
		RealServer: realserver.New(realserver.Config{
			Kernel: netif.Rtnetlink{}, Sysctls: realserver.Rtnetlink{}, Tunnels: realserver.Rtnetlink{},
			RecordPath: filepath.Join(o.StateDir, "realserver.json"), Log: o.Log,
		}),
		Proxy:   feeder{h.Keeper},
		Checker: checker,
		Surveyor: &surveyor{
			host:  preflight.Host{Holders: &preflight.Holders{}},
			netif: h.netif, ipvs: h.ipvs, nft: h.nft, marks: o.Marks,
			prober: announce.Prober{Network: announce.Sockets{}}, replies: &preflight.Replies{},
		},
	}
}

// Inspect returns what answers questions about the host's traffic.
func (h *Host) Inspect() *inspect.Source {
	return &inspect.Source{Observed: h.Agent.Observed, VirtualServer: h.ipvs, PacketFilter: h.nft}
}

// SocketPath is the unix socket at which a proxy finds its agent.
func SocketPath(runDir string) string { return filepath.Join(runDir, "keeper.sock") }

// Lock waits until no other agent acts on this host. standby is called once if one does.
func (h *Host) Lock(ctx context.Context, standby func()) (unlock func(), err error) {
	return turns.Agent(ctx, h.runDir, standby)
}

// Run acts until ctx ends. The caller holds the lock. What is programmed stays.
func (h *Host) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		defer cancel()
		failed <- h.Keeper.Run(ctx)
	}()
	h.Agent.Run(ctx)
	return errors.Join(<-failed, h.closer())
}

// Network reads the host's network for translation.
func (h *Host) Network(ctx context.Context) (node.Network, error) {
	var network node.Network
	all, err := h.netif.Interfaces(ctx)
	if err != nil {
		return network, err
	}
	for _, i := range all {
		if i.Loopback {
			continue
		}
		network.Interfaces = append(network.Interfaces, translate.Interface{
			Name: i.Name, Addresses: i.Addresses, MTU: i.MTU, Up: i.Up,
		})
		network.Gateways = append(network.Gateways, i.Gateways...)
	}
	return network, nil
}

// Kept says what is not given back although nothing of ours needs it, and why; empty: nothing.
func (h *Host) Kept() string {
	if n := h.ipvs.Held(); n > 0 {
		return fmt.Sprintf("%d settings of IPVS (net.ipv4.vs, timeouts) stay, for other programs have services in it: see ipvsadm -Ln. When those are gone, run this again.", n)
	}
	return ""
}

// IPVSAvailable tells whether the kernel has IPVS; asking makes the kernel load it.
func (h *Host) IPVSAvailable(ctx context.Context) error { return h.ipvs.Available(ctx) }
