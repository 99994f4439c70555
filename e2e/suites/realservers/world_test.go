package realservers

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/cluster"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

const (
	vip4, vip6           = "192.0.2.100", "2001:db8::100"
	server4, server6     = "192.0.2.11", "2001:db8::11"
	director4, director6 = "192.0.2.2", "2001:db8::2"
	client4, client6     = "192.0.2.50", "2001:db8::50"
	program              = "/usr/local/bin/truepacs"
	answerProgram        = "/usr/local/bin/answer"
	copyOfManifest       = "/root/balancer.yaml" // of a server without an agent
	manifestFile         = site.ManifestDir + "/realservers.yaml"
)

// What is declared at layer 4, and at layer 7 on the director alone.
const (
	portDICOM, portSecond, portWeb = 104, 11112, 8443
	rangeFirst, rangeLast          = 2000, 2010
	portSyslog                     = 514
)

// What listens on all addresses of the hosts although nobody declared it.
const (
	decoySSH, decoyPrinter, decoyBackend = 22, 9100, 9200
	decoySNMP                            = 161
)

const manifest = `apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: realservers}
spec:
  directors: {peers: [{name: lb1}]}
  virtualIPs:
  - {name: main, address: 192.0.2.100}
  - {name: main-v6, address: "2001:db8::100"}
  serverPools:
  - name: archive
    servers:
    - {name: pacs-a, address: 192.0.2.11}
    - {name: pacs-a-v6, address: "2001:db8::11"}
    healthChecks: [{type: TCP, port: 104, periodSeconds: 1}]
  - name: web
    port: 9200
    servers: [{name: pacs-a, address: 192.0.2.11}]
  virtualServices:
  - name: dicom
    virtualIPs: [main, main-v6]
    mode: L4DR
    ports: [104, 11112]
    portRanges: [{first: 2000, last: 2010}]
    serverPool: archive
  - name: syslog
    virtualIPs: [main, main-v6]
    mode: L4DR
    protocol: UDP
    ports: [514]
    serverPool: archive
  - name: web
    virtualIPs: [main]
    mode: L7SNAT
    ports: [8443]
    serverPool: web
    layer7: {application: TCP}
`

// world is a LAN with a director on which the product runs, a Debian as real server, and a client.
type world struct {
	lab              *lab.Lab
	director, server host
	client           *lab.Namespace
	printed          printed.Text
	scanned          bool     // the director was
	ports            []uint16 // that scans ask
}

// host is a host whose MAC addresses are known.
type host interface {
	lab.Host
	MAC(nic string) string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	l, err := lab.New(lab.Options{Name: "realservers", Log: t.Logf})
	suite.Must(t, err)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{lab: l}
	suite.Must(t, w.build(t))
	t.Cleanup(func() {
		if t.Failed() {
			w.explain(t)
		}
	})
	suite.Must(t, w.start(t))
	return w
}

func (w *world) build(t *testing.T) error {
	truepacs, err := site.Program()
	if err != nil {
		return err
	}
	answer := filepath.Join(t.TempDir(), "answer")
	if err := lab.BuildStatic(t.Context(), "./e2e/suites/realservers/answer", answer); err != nil {
		return err
	}
	lan, err := w.lab.Network("lan")
	if err != nil {
		return err
	}
	nic := func(addresses ...string) []lab.NIC {
		return []lab.NIC{{Network: lan, Addresses: lab.Prefixes(addresses[0]+"/24", addresses[1]+"/64")}}
	}
	if w.client, err = w.lab.Namespace("client", nic(client4, client6)...); err != nil {
		return err
	}
	var machines errgroup.Group
	machines.Go(func() (err error) {
		w.director, err = w.lab.Machine("lb1", lab.MachineSpec{
			NICs: nic(director4, director6), Tools: []string{"ipvsadm", "nft", "ip", "ss"}, Disk: 128, MemoryMB: 768,
			Files: map[string]string{program: truepacs, answerProgram: answer},
		})
		return err
	})
	machines.Go(func() (err error) {
		w.server, err = bootServer(t, w.lab, nic(server4, server6), truepacs, answer)
		return err
	})
	return machines.Wait()
}

// bootServer boots a Debian with a PACS that its systemd starts, and decoys beside it.
func bootServer(t *testing.T, l *lab.Lab, nics []lab.NIC, truepacs, answer string) (*lab.Machine, error) {
	disk, err := cluster.NodeImage(t.Context())
	if err != nil {
		return nil, err
	}
	m, err := l.Machine("pacs-a", lab.MachineSpec{NICs: nics, RootDisk: disk, MemoryMB: 768})
	if err != nil {
		return nil, err
	}
	for to, from := range map[string]string{program: truepacs, answerProgram: answer} {
		if err := putFile(t.Context(), m, to, from); err != nil {
			return nil, err
		}
	}
	unit := fmt.Sprintf("[Service]\nExecStart=%s %s\n[Install]\nWantedBy=multi-user.target\n", answerProgram,
		strings.Join(append(decoys(), "tcp:104", "tcp:11112", "tcp:2003", "udp:514"), " "))
	if err := m.Put(t.Context(), "/etc/systemd/system/pacs.service", strings.NewReader(unit), 0o644); err != nil {
		return nil, err
	}
	if err := m.Put(t.Context(), "/etc/hostname", strings.NewReader("pacs-a\n"), 0o644); err != nil {
		return nil, err
	}
	result, err := m.Run(t.Context(), "sh", "-c", "hostname pacs-a; systemctl daemon-reload; systemctl disable --now kubelet containerd 2>/dev/null; systemctl enable --now pacs && sync")
	if err == nil && result.ExitCode != 0 {
		err = fmt.Errorf("start the PACS: %s", result.Stderr)
	}
	return m, err
}

func decoys() []string {
	return []string{
		fmt.Sprintf("tcp:%d", decoySSH), fmt.Sprintf("tcp:%d", decoyPrinter), fmt.Sprintf("tcp:%d", decoyBackend), fmt.Sprintf("udp:%d", decoySNMP),
	}
}

func putFile(ctx context.Context, m *lab.Machine, to, from string) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	return m.Put(ctx, to, f, 0o755)
}

// start starts the product and decoys on the director.
func (w *world) start(t *testing.T) error {
	for path, host := range map[string]host{manifestFile: w.director, copyOfManifest: w.server} {
		if err := host.Put(t.Context(), path, strings.NewReader(manifest), 0o600); err != nil {
			return err
		}
	}
	for _, argv := range [][]string{append([]string{answerProgram}, decoys()...), {program, "run", "-f", site.ManifestDir, "--node", "lb1"}} {
		if _, err := w.director.Start(context.WithoutCancel(t.Context()), lab.ProcessSpec{Argv: argv, Stdout: &w.printed, Stderr: &w.printed}); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return site.Until(ctx, "the director has its services", func() error {
		out, err := run(ctx, w.director, "ipvsadm -Ln | grep -c '^ *->.*:0 *Route'; ip address")
		if err == nil && !(strings.HasPrefix(out, "4") && strings.Contains(out, vip4+"/32") && strings.Contains(out, vip6+"/128")) {
			err = fmt.Errorf("it has %s", out)
		}
		return err
	})
}

// run runs a shell's command; an exit status other than 0 is an error.
func run(ctx context.Context, host lab.Host, command string) (string, error) {
	result, err := host.Run(ctx, "sh", "-c", command)
	if err == nil && result.ExitCode != 0 {
		err = fmt.Errorf("%s: %q: exit status %d\n%s%s", host.Name(), command, result.ExitCode, result.Stdout, result.Stderr)
	}
	return result.Stdout, err
}

func mustRun(t *testing.T, host lab.Host, command string) string {
	t.Helper()
	out, err := run(t.Context(), host, command)
	suite.Must(t, err)
	return out
}

// explain prints what helps to understand a failure.
func (w *world) explain(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	t.Logf("director printed:\n%s", w.printed.String())
	for host, commands := range map[lab.Host]string{
		w.director: "truepacs status; ipvsadm -Ln; nft list ruleset; ip address; ip neigh",
		w.server:   "journalctl -b --no-pager -n 40 -u truepacs-realserver -u truepacs; nft list ruleset; ip address; sysctl -a 2>/dev/null | grep arp_; cat /var/lib/truepacs-realserver/*",
		w.client:   "ip neigh",
	} {
		out, err := host.Run(ctx, "sh", "-c", commands)
		t.Logf("%s: %v\n%s%s", host.Name(), err, out.Stdout, out.Stderr)
	}
}

var errDecoy = errors.New("a port that nobody declared still answers")

// ask asks a port from the client and returns the answer's line.
func (w *world) ask(ctx context.Context, network, address string, port int, patience time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	conn, err := w.client.Dial(ctx, network, net.JoinHostPort(address, fmt.Sprint(port)))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return "", err
	}
	if network == "udp" {
		if _, err := conn.Write([]byte("?")); err != nil {
			return "", err
		}
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(line), err
}

// wantService asks the service on every kind of port; the server must see the client's own address.
func (w *world) wantService(ctx context.Context) error {
	for _, vip := range []struct{ address, client string }{{vip4, client4}, {vip6, client6}} {
		for _, p := range []struct {
			network string
			port    int
		}{{"tcp", portDICOM}, {"tcp", portSecond}, {"tcp", 2003}, {"udp", portSyslog}} {
			got, err := w.ask(ctx, p.network, vip.address, p.port, 5*time.Second)
			if want := "pacs-a " + vip.client; err != nil || got != want {
				return fmt.Errorf("%s %s port %d says %q, %w; want %q", p.network, vip.address, p.port, got, err, want)
			}
		}
	}
	return nil
}

func (w *world) awaitService(t *testing.T, when string) {
	t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, when+": the service works", func() error { return w.wantService(ctx) }))
	t.Logf("%s: the service works after %s", when, time.Since(began).Round(100*time.Millisecond))
}

func parsed(address string) netip.Addr { return netip.MustParseAddr(address) }
