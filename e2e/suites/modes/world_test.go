package modes

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

const (
	programPath = "/usr/local/bin/truepacs"
	peerPath    = "/usr/local/bin/peer"
)

// world is a hospital whose clients are behind a link with small packets:
//
//	c1, c2 -- clients -- far -- narrow (MTU 1400) -- near -- lan: director, dr-a, dr-b, nat-a
//	                                                 |       director -- inside: nat-b, snat-a, snat-b
//	                                                 remote: tun-a, tun-b
//
// nat-a has the director as gateway on the network by which clients come, nat-b on one of its own.
// The servers of mode L4SNAT have no gateway. Those of L4Tunnel are machines, for the host's kernel
// has no tunnels.
type world struct {
	*testing.T
	lab      *lab.Lab
	networks map[string]*lab.Network
	director *lab.Machine
	hosts    map[string]lab.Host // servers by name
	clients  []*lab.Namespace
	near     *lab.Namespace
	program  string
	peer     string
	printed  map[string]*printed.Text
}

func newWorld(t *testing.T) *world {
	t.Helper()
	program, err := site.Program()
	suite.Must(t, err)
	l, err := lab.New(lab.Options{Name: "modes", Log: t.Logf})
	suite.Must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{
		T: t, lab: l, program: program, peer: filepath.Join(t.TempDir(), "peer"),
		networks: map[string]*lab.Network{}, hosts: map[string]lab.Host{}, printed: map[string]*printed.Text{},
	}
	suite.Must(t, lab.BuildStatic(t.Context(), "./e2e/talk/peer", w.peer))
	w.build()
	t.Cleanup(func() {
		if t.Failed() {
			w.explain()
		}
	})
	w.startServers()
	w.startAgents()
	w.awaitWorking()
	return w
}

func (w *world) build() {
	for _, name := range []string{"clients", "lan", "inside", "remote"} {
		w.network(name)
	}
	w.network("narrow", lab.MTU(narrowMTU))
	var group errgroup.Group
	group.Go(w.bootDirector)
	machines := make([]*lab.Machine, len(servers))
	for i, s := range servers {
		if s.mode == v1alpha1.ModeL4Tunnel {
			group.Go(func() (err error) {
				machines[i], err = w.bootServer(s)
				return err
			})
		}
	}
	w.placeNamespaces()
	suite.Must(w.T, group.Wait())
	for i, s := range servers {
		if machines[i] != nil {
			w.hosts[s.name] = machines[i]
		}
	}
}

func (w *world) network(name string, options ...lab.NetworkOption) {
	n, err := w.lab.Network(name, options...)
	suite.Must(w.T, err)
	w.networks[name] = n
}

func (w *world) nic(network, gateway4, gateway6 string, addresses ...string) lab.NIC {
	return lab.NIC{
		Network: w.networks[network], Addresses: lab.Prefixes(addresses...),
		Gateway: address(gateway4), Gateway6: address(gateway6),
	}
}

func (w *world) bootDirector() (err error) {
	w.director, err = w.lab.Machine("lb1", lab.MachineSpec{
		NICs: []lab.NIC{
			w.nic("lan", "192.0.2.1", "2001:db8:1::1", "192.0.2.2/24", "2001:db8:1::2/64"),
			w.nic("inside", "", "", "10.0.0.2/24", "2001:db8:10::2/64"),
		},
		Tools: []string{"ipvsadm", "nft", "ip", "conntrack"},
		Files: map[string]string{programPath: w.program},
		Disk:  64, MemoryMB: 768, CPUs: 2,
	})
	return err
}

func (w *world) bootServer(s server) (*lab.Machine, error) {
	return w.lab.Machine(s.name, lab.MachineSpec{
		NICs:  []lab.NIC{w.nic(s.network, s.gateway4, s.gateway6, s.prefixes()...)},
		Tools: []string{"ip", "nft"},
		Files: map[string]string{programPath: w.program, peerPath: w.peer},
		Disk:  64, MemoryMB: 640,
	})
}

// placeNamespaces makes all hosts that are no machines.
func (w *world) placeNamespaces() {
	_, err := w.lab.Router("far",
		w.nic("clients", "", "", "203.0.113.1/24", "2001:db8:3::1/64"),
		w.nic("narrow", "10.9.0.2", "2001:db8:9::2", "10.9.0.1/24", "2001:db8:9::1/64"))
	suite.Must(w.T, err)
	// The router of the lan knows both networks of virtual IPs.
	w.near, err = w.lab.Router("near",
		w.nic("narrow", "10.9.0.1", "2001:db8:9::1", "10.9.0.2/24", "2001:db8:9::2/64"),
		w.nic("lan", "", "", "192.0.2.1/24", "198.18.0.1/24", "2001:db8:1::1/64", "2001:db8:18::1/64"),
		w.nic("remote", "", "", "198.51.100.1/24", "2001:db8:2::1/64"))
	suite.Must(w.T, err)
	for i := range 2 {
		c, err := w.lab.Namespace(fmt.Sprintf("c%d", i+1), w.nic("clients", "203.0.113.1", "2001:db8:3::1",
			fmt.Sprintf("203.0.113.%d/24", 51+i), fmt.Sprintf("2001:db8:3::%d/64", 51+i)))
		suite.Must(w.T, err)
		w.clients = append(w.clients, c)
	}
	for _, s := range servers {
		if s.mode != v1alpha1.ModeL4Tunnel {
			w.hosts[s.name], err = w.lab.Namespace(s.name, w.nic(s.network, s.gateway4, s.gateway6, s.prefixes()...))
			suite.Must(w.T, err)
		}
	}
}

func (w *world) start(host lab.Host, argv ...string) {
	out := &printed.Text{}
	w.printed[host.Name()+" "+filepath.Base(argv[0])] = out
	_, err := host.Start(context.WithoutCancel(w.Context()), lab.ProcessSpec{Argv: argv, Stdout: out, Stderr: out})
	suite.Must(w.T, err)
}

func isMachine(host lab.Host) bool {
	_, is := host.(*lab.Machine)
	return is
}

func (w *world) startServers() {
	for _, s := range servers {
		program := w.peer
		if isMachine(w.hosts[s.name]) {
			program = peerPath
		}
		w.start(w.hosts[s.name], program, s.name, fmt.Sprint(portOf(s.mode)))
	}
}

// startAgents starts the product where a user would: on the director, and on the servers that have
// to accept the virtual IPs.
func (w *world) startAgents() {
	for _, s := range servers {
		if s.mode == v1alpha1.ModeL4DR || s.mode == v1alpha1.ModeL4Tunnel {
			w.startAgent(w.hosts[s.name])
		}
	}
	w.startAgent(w.director)
}

func (w *world) startAgent(host lab.Host) {
	suite.Must(w.T, host.Put(w.Context(), site.ManifestDir+"/modes.yaml", strings.NewReader(manifest()), 0o600))
	program := w.program
	if isMachine(host) {
		program = programPath
	}
	w.start(host, program, "run", "-f", site.ManifestDir, "--node", host.Name())
}

func (w *world) run(host lab.Host, argv ...string) string {
	w.Helper()
	result, err := host.Run(w.Context(), argv...)
	suite.Must(w.T, err)
	if result.ExitCode != 0 {
		w.Fatalf("%v on %s: exit status %d\n%s%s", argv, host.Name(), result.ExitCode, result.Stdout, result.Stderr)
	}
	return result.Stdout
}

func (w *world) awaitWorking() {
	ctx, cancel := context.WithTimeout(w.Context(), 8*time.Minute)
	defer cancel()
	suite.Must(w.T, site.Until(ctx, "the balancer works", func() error {
		result, err := w.director.Run(ctx, programPath, "status", "-o", "json")
		if err != nil {
			return err
		}
		if err := ready(result.Stdout); err != nil {
			return err
		}
		return w.prepared(ctx)
	}))
}

// ready reads what truepacs status says.
func ready(text string) error {
	var list v1alpha1.TruePACSBalancerList
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list.Items) != 1 {
		return fmt.Errorf("status is not one balancer: %w\n%s", err, text)
	}
	for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionServersHealthy} {
		c := meta.FindStatusCondition(list.Items[0].Status.Conditions, kind)
		if c == nil || c.Status != metav1.ConditionTrue {
			return fmt.Errorf("%s: %+v", kind, c)
		}
	}
	return nil
}

// prepared tells whether all real servers accept the virtual IPs.
func (w *world) prepared(ctx context.Context) error {
	for _, s := range servers {
		if s.mode != v1alpha1.ModeL4DR && s.mode != v1alpha1.ModeL4Tunnel {
			continue
		}
		result, err := w.hosts[s.name].Run(ctx, "ip", "address", "show", "dev", "lo")
		if err != nil {
			return err
		}
		for _, vip := range virtualIPs {
			if !strings.Contains(result.Stdout, vip.address+"/") {
				return fmt.Errorf("%s lacks %s on lo:\n%s", s.name, vip.address, result.Stdout)
			}
		}
	}
	return nil
}

// explain prints what helps to understand a failure.
func (w *world) explain() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.Context()), time.Minute)
	defer cancel()
	for name, out := range w.printed {
		w.Logf("%s printed:\n%s", name, out)
	}
	for _, command := range []string{
		programPath + " status", "ipvsadm -Ln", "ipvsadm -Lnc", "nft list ruleset", "ip address", "ip -6 route", "cat /proc/sys/net/ipv4/ip_forward",
	} {
		out, err := w.director.Run(ctx, "sh", "-c", command)
		w.Logf("director: %s: %v\n%s%s", command, err, out.Stdout, out.Stderr)
	}
	for _, name := range []string{"tun-a", "nat-a", "dr-a"} {
		if host := w.hosts[name]; host != nil {
			out, err := host.Run(ctx, "sh", "-c", "ip -s -d address; ip route; ip -6 route; nft list ruleset; grep . /proc/sys/net/ipv4/conf/*/rp_filter; cat /proc/net/snmp /proc/net/netstat")
			w.Logf("%s: %v\n%s%s", name, err, out.Stdout, out.Stderr)
		}
	}
}
