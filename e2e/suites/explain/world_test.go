package explain

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// world is a director that is a machine, three servers, and all clients of a network behind a router.
type world struct {
	lab      *lab.Lab
	director *lab.Machine
	servers  []*lab.Namespace
	clients  *lab.Namespace
	program  string
	agents   map[string]*printed.Text
}

const directorProgram = "/usr/local/bin/truepacs"

// clientNetworks are those whose every address is the clients' host's.
var clientNetworks = [2]string{"198.18.0.0/16", "2001:db8:18::/48"}

func newWorld(t *testing.T) *world {
	t.Helper()
	program, err := site.Program()
	suite.Must(t, err)
	l, err := lab.New(lab.Options{Name: "explain", Log: t.Logf})
	suite.Must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{lab: l, program: program, agents: map[string]*printed.Text{}}
	lan, err := l.Network("lan")
	suite.Must(t, err)
	outside, err := l.Network("outside")
	suite.Must(t, err)
	w.placeClients(t, lan, outside)
	for i := range 3 {
		host, err := l.Namespace(fmt.Sprintf("pacs-%c", 'a'+i), w.nic(lan, 11+i))
		suite.Must(t, err)
		w.servers = append(w.servers, host)
	}
	w.director, err = l.Machine("lb1", lab.MachineSpec{
		NICs: []lab.NIC{w.nic(lan, 2)}, Tools: []string{"ipvsadm", "nft", "ip", "curl"},
		Files: map[string]string{directorProgram: program}, Disk: 64, MemoryMB: 1024,
	})
	suite.Must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			w.tell(t)
		}
	})
	return w
}

// nic is an interface on the LAN with an address of each family.
func (w *world) nic(lan *lab.Network, last int) lab.NIC {
	addresses := lab.Prefixes(fmt.Sprintf("192.0.2.%d/24", last), fmt.Sprintf("2001:db8:1::%d/64", last))
	gateways := lab.Prefixes("192.0.2.1/32", "2001:db8:1::1/128")
	return lab.NIC{Network: lan, Addresses: addresses, Gateway: gateways[0].Addr(), Gateway6: gateways[1].Addr()}
}

// placeClients makes the router and one host that has all the clients' addresses.
func (w *world) placeClients(t *testing.T, lan, outside *lab.Network) {
	t.Helper()
	router, err := w.lab.Router("router",
		lab.NIC{Network: lan, Addresses: lab.Prefixes("192.0.2.1/24", "2001:db8:1::1/64")},
		lab.NIC{Network: outside, Addresses: lab.Prefixes("203.0.113.1/24", "2001:db8:2::1/64")})
	suite.Must(t, err)
	gateways := lab.Prefixes("203.0.113.1/32", "2001:db8:2::1/128")
	w.clients, err = w.lab.Namespace("clients", lab.NIC{
		Network: outside, Addresses: lab.Prefixes("203.0.113.2/24", "2001:db8:2::2/64"),
		Gateway: gateways[0].Addr(), Gateway6: gateways[1].Addr(),
	})
	suite.Must(t, err)
	w.shell(t, router, "ip route add "+clientNetworks[0]+" via 203.0.113.2 && ip -6 route add "+clientNetworks[1]+" via 2001:db8:2::2")
	w.shell(t, w.clients, "ip route add local "+clientNetworks[0]+" dev lo && ip -6 route add local "+clientNetworks[1]+
		" dev lo && echo 1 > /proc/sys/net/ipv6/ip_nonlocal_bind")
}

func (w *world) shell(t *testing.T, host lab.Host, command string) string {
	t.Helper()
	out, err := host.Run(t.Context(), "sh", "-c", command)
	suite.Must(t, err)
	if out.ExitCode != 0 {
		t.Fatalf("%s on %s: exit status %d\n%s%s", command, host.Name(), out.ExitCode, out.Stdout, out.Stderr)
	}
	return out.Stdout
}

// hosts run the product.
func (w *world) hosts() []lab.Host {
	return []lab.Host{w.director, w.servers[0], w.servers[1], w.servers[2]}
}

func (w *world) programOn(host lab.Host) string {
	if host == lab.Host(w.director) {
		return directorProgram
	}
	return w.program
}

// start starts `truepacs run` on all hosts.
func (w *world) start(t *testing.T) {
	t.Helper()
	for _, host := range w.hosts() {
		out := &printed.Text{}
		w.agents[host.Name()] = out
		_, err := host.Start(context.WithoutCancel(t.Context()), lab.ProcessSpec{
			Argv: []string{w.programOn(host), "run", "-f", site.ManifestDir, "--node", host.Name()}, Stdout: out, Stderr: out,
		})
		suite.Must(t, err)
	}
}

// put writes a manifest on all hosts.
func (w *world) put(t *testing.T, file, text string) {
	t.Helper()
	for _, host := range w.hosts() {
		suite.Must(t, host.Put(t.Context(), site.ManifestDir+"/"+file, strings.NewReader(text), os.FileMode(0o600)))
	}
}

// truepacs runs a command of the product on the director and returns what it printed.
func (w *world) truepacs(ctx context.Context, args ...string) (string, error) {
	out, err := w.director.Run(ctx, append([]string{directorProgram}, args...)...)
	if err == nil && out.ExitCode != 0 {
		err = fmt.Errorf("truepacs %s: exit status %d: %s", strings.Join(args, " "), out.ExitCode, out.Stderr)
	}
	return out.Stdout, err
}

// weighted counts at how many services each server has weight in the kernel, as ipvsadm shows it.
func (w *world) weighted(ctx context.Context) (map[string]int, error) {
	out, err := w.director.Run(ctx, "ipvsadm", "-Ln")
	if err != nil {
		return nil, err
	}
	counts := map[string]int{}
	for line := range strings.Lines(out.Stdout) {
		words := strings.Fields(line)
		if len(words) == 6 && words[0] == "->" && words[3] != "0" && words[3] != "Weight" {
			counts[strings.TrimSuffix(words[1], ":0")]++
		}
	}
	return counts, nil
}

// awaitWeights waits until servers have weight at that many services.
func (w *world) awaitWeights(t *testing.T, what string, want map[string]int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, what, func() error {
		got, err := w.weighted(ctx)
		if err != nil {
			return err
		}
		for server, n := range want {
			if got[server] != n {
				return fmt.Errorf("%s has weight at %d services, not %d: %v", server, got[server], n, got)
			}
		}
		return nil
	}))
}

// awaitAnswers waits until the agent has seen what the kernel has.
func (w *world) awaitAnswers(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, "explain answers", func() error {
		out, err := w.director.Run(ctx, directorProgram, "explain", "--client", "198.18.0.1:40000", "--to", vip4+":1")
		if err == nil && out.ExitCode != 0 {
			err = fmt.Errorf("exit status %d: %s", out.ExitCode, out.Stderr)
		}
		return err
	}))
}

// tell prints what helps to understand a failure.
func (w *world) tell(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	for _, command := range []string{directorProgram + " status", "ipvsadm -Ln", "nft list table inet truepacs | head -40"} {
		out, err := w.director.Run(ctx, "sh", "-c", command)
		t.Logf("%s: %v\n%s%s", command, err, out.Stdout, out.Stderr)
	}
	for name, out := range w.agents {
		text := out.String()
		t.Logf("%s printed:\n%s", name, text[max(0, len(text)-3000):])
	}
}
