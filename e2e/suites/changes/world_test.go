package changes

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// Addresses of the host: its own, that of the front, and that of its servers, who are on the same host. So are clients.
const (
	own    = "192.0.2.2"
	vip    = "192.0.2.100"
	server = "198.51.100.1"
)

// patience is how long one thing may take.
const patience = 30 * time.Second

// plan counts changes; other figures have variables of their own, see hack/soak.
func plan() suite.Plan { return suite.Plan{Name: "CHANGES", Unit: "EDITS", Seed: 4, Count: 20} }

func TestMain(m *testing.M) { plan().Run(m) }

// world is a host with servers and the product.
type world struct {
	in   peers.Host
	host *netnstest.Far
	// program is the product's program, which an upgrade replaces; dir has its folders.
	program, dir string
	*peers.Process
	servers *servers
	certificate
	configuration configuration
}

// newWorld starts the product and returns once its listeners serve.
func newWorld(t *testing.T) *world {
	t.Helper()
	host := netnstest.NewFar(t)
	host.Run(t, "sh", "-ec", "ip link add eth0 type veth peer name eth1; ip link set eth0 up; ip link set eth1 up;"+
		"ip address add "+own+"/24 dev eth0; ip address add "+server+"/32 dev lo")
	w := &world{in: peers.Far(host), host: host, dir: newFolder(t), configuration: first()}
	w.servers = startServers(t, w.in)
	w.program = filepath.Join(w.dir, "truepacs")
	shipped, err := site.Program()
	suite.Must(t, err)
	w.install(t, shipped)
	suite.Must(t, os.Mkdir(filepath.Join(w.dir, "manifests"), 0o700))
	w.renew(t, newCertificate(t, 0))
	w.configure(t, w.configuration)
	w.start(t)
	w.await(t, "the front serves", func() error {
		return errors.Join(w.serves(w.dial, 80), w.shows(w.certificate), w.streams())
	})
	return w
}

// newFolder goes with the test and can be entered by programs that give up root's rights.
func newFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "truepacs-changes")
	suite.Must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	suite.Must(t, os.Chmod(dir, 0o755))
	return dir
}

func (w *world) start(t *testing.T) {
	t.Helper()
	out, err := os.Create(filepath.Join(w.dir, "output"))
	suite.Must(t, err)
	t.Cleanup(func() { _ = out.Close() })
	cmd := exec.Command(w.program, "run", "-f", filepath.Join(w.dir, "manifests"), "--node", "lb1",
		"--run-dir", filepath.Join(w.dir, "run"), "--state-dir", filepath.Join(w.dir, "state"))
	cmd.Stdout, cmd.Stderr = out, out
	w.Process = peers.Launch(t, w.in, cmd)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the product printed:\n%s", w.printed())
		}
	})
}

// printed is the end of what the product printed, without its access log.
func (w *world) printed() string {
	text, err := os.ReadFile(filepath.Join(w.dir, "output"))
	if err != nil {
		return err.Error()
	}
	var kept []string
	for line := range strings.Lines(string(text)) {
		if !strings.Contains(line, `"listener":`) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept[max(0, len(kept)-60):], "")
}

// install replaces the product's program as an administrator does: by another file of the same name.
func (w *world) install(t *testing.T, program string) {
	t.Helper()
	content, err := os.ReadFile(program)
	suite.Must(t, err)
	suite.Must(t, os.WriteFile(w.program+".new", content, 0o755))
	suite.Must(t, os.Rename(w.program+".new", w.program))
}

// replace replaces a manifest in one step.
func (w *world) replace(t *testing.T, name, text string) {
	t.Helper()
	fresh := filepath.Join(w.dir, name)
	suite.Must(t, os.WriteFile(fresh, []byte(text), 0o600))
	suite.Must(t, os.Rename(fresh, filepath.Join(w.dir, "manifests", name)))
}

// dial connects to a port of the front.
func (w *world) dial(port uint16) (c net.Conn, err error) {
	err = w.in(func() error {
		c, err = net.DialTimeout("tcp", netip.AddrPortFrom(netip.MustParseAddr(vip), port).String(), patience)
		return err
	})
	if err == nil {
		err = c.SetDeadline(time.Now().Add(patience))
	}
	return c, err
}

// await asks again until a client sees what it is to see, and returns how long that took.
func (w *world) await(t *testing.T, what string, seen func() error) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := seen()
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > patience {
			t.Fatalf("%s: not seen after %s: %v", what, patience, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// proxy is a process of the proxy.
type proxy struct {
	pid int
	// started is its start time, as proc(5) has it in stat; with it a pid is one process for good.
	started string
}

// proxies are those that live.
func (w *world) proxies(t *testing.T) []proxy {
	t.Helper()
	u, err := w.Usage()
	suite.Must(t, err)
	var all []proxy
	for _, pid := range u.Processes {
		argv, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if words := strings.Split(string(argv), "\x00"); err != nil || len(words) < 2 || words[1] != "proxy" {
			continue
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		suite.Must(t, err)
		const startTime = 19 // field 22, the name and what stands before it cut off
		fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
		all = append(all, proxy{pid, fields[startTime]})
	}
	return all
}

// proxy is the only one.
func (w *world) proxy(t *testing.T) proxy {
	t.Helper()
	all := w.proxies(t)
	if len(all) != 1 {
		t.Fatalf("%d processes of the proxy live, not one: %v", len(all), all)
	}
	return all[0]
}

// memory is the least that the process has resident in a second, in bytes (VmRSS of proc(5)): what a collection of garbage is about to
// free is not what it keeps.
func (p proxy) memory(t *testing.T) int64 {
	t.Helper()
	var least int64
	for range 20 {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
		suite.Must(t, err)
		_, after, _ := strings.Cut(string(status), "\nVmRSS:")
		var kib int64
		_, err = fmt.Sscan(after, &kib)
		suite.Must(t, err)
		if least == 0 || kib<<10 < least {
			least = kib << 10
		}
		time.Sleep(50 * time.Millisecond)
	}
	return least
}
