package checks

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

const (
	pools, perPool = 63, 16
	threshold      = 3
	period         = time.Second
)

// world is a director and a thousand servers beyond a wire.
type world struct {
	wire     *wire
	director *netnstest.Far
	program  *exec.Cmd
	events   *events
	servers  []netip.Addr
	// end ends all servers, stop the program.
	end, stop func()
}

// address is that of a pool's server.
func address(pool, n int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 200, byte(pool), byte(n + 1)})
}

// newWorld starts everything. Pools are checked by C-ECHO and by TCP in turns, each at a port of its own.
func newWorld(t *testing.T, servers int) *world {
	t.Helper()
	director, far := netnstest.NewFar(t), netnstest.NewFar(t)
	w := &world{wire: connect(t, director, far), director: director}
	director.Run(t, "sh", "-ec", "ip address add 10.9.0.1/24 dev wire0; ip link set wire0 up; ip route add 10.200.0.0/16 via 10.9.0.2")
	far.Run(t, "sh", "-ec", "ip address add 10.9.0.2/24 dev wire0; ip link set wire0 up; ip route add local 10.200.0.0/16 dev lo")
	w.end = serve(t, far)
	w.start(t, director, w.manifest(servers))
	return w
}

// serve has DICOM servers of dcmtk at the ports of even pools, and something that accepts connections at
// those of odd ones. The function that it returns kills them all.
func serve(t *testing.T, far *netnstest.Far) (end func()) {
	t.Helper()
	var ends []func()
	for pool := range pools {
		if pool%2 == 0 {
			ends = append(ends, storescp(t, far, port(pool)))
			continue
		}
		var l net.Listener
		var err error
		far.Do(func() { l, err = net.Listen("tcp", fmt.Sprintf(":%d", port(pool))) })
		suite.Must(t, err)
		go func() {
			for c, err := l.Accept(); err == nil; c, err = l.Accept() {
				_ = c.Close()
			}
		}()
		ends = append(ends, func() { _ = l.Close() })
	}
	end = sync.OnceFunc(func() {
		for _, one := range ends {
			one()
		}
	})
	t.Cleanup(end)
	return end
}

// dicomPort is that of the first pool.
const dicomPort = 11100

func port(pool int) int { return dicomPort + pool }

// storescp starts a DICOM server; the function that it returns kills it.
func storescp(t *testing.T, far *netnstest.Far, port int) func() {
	t.Helper()
	cmd := exec.Command("storescp", "--disable-host-lookup", "--aetitle", "TRUEPACS", "--ignore", fmt.Sprint(port))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	cmd.Env = append(os.Environ(), "TCP_NODELAY=1") // dcmtk's: else it waits 40 ms for us between two writes
	var err error
	far.Do(func() { err = cmd.Start() })
	if err != nil {
		t.Fatalf("%v; install package dcmtk", err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
}

// manifest writes the balancer of the given number of servers into a folder of its own.
func (w *world) manifest(servers int) string {
	var list, services strings.Builder
	for pool := range pools {
		check := "{type: TCP, periodSeconds: 1, timeoutSeconds: 1}"
		if pool%2 == 0 {
			check = "{type: DICOMEcho, periodSeconds: 1, timeoutSeconds: 1, dicomEcho: {calledAETitle: TRUEPACS}}"
		}
		fmt.Fprintf(&list, "  - name: pool-%d\n    port: %d\n    healthChecks: [%s]\n    servers:\n", pool, port(pool), check)
		for n := range min(perPool, servers-len(w.servers)) {
			a := address(pool, n)
			w.servers = append(w.servers, a)
			fmt.Fprintf(&list, "    - {name: s%d, address: %s}\n", n, a)
		}
		fmt.Fprintf(&services, "  - {name: service-%d, virtualIPs: [main], mode: L7SNAT, ports: [%d], serverPool: pool-%d, layer7: {application: TCP}}\n",
			pool, port(pool), pool)
	}
	return "apiVersion: lb.truepacs.io/v1alpha1\nkind: TruePACSBalancer\nmetadata: {name: thousand}\nspec:\n  directors: {peers: [{name: lb1}]}\n" +
		"  virtualIPs: [{name: main, address: 10.9.0.100}]\n  serverPools:\n" + list.String() + "  virtualServices:\n" + services.String()
}

// start runs the program on the director.
func (w *world) start(t *testing.T, director *netnstest.Far, manifest string) {
	t.Helper()
	program, err := site.Program()
	suite.Must(t, err)
	dir, err := os.MkdirTemp("", "truepacs-checks")
	suite.Must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	suite.Must(t, os.Chmod(dir, 0o755)) // the proxy runs without rights
	folder := filepath.Join(dir, "manifests")
	suite.Must(t, os.Mkdir(folder, 0o700))
	suite.Must(t, os.WriteFile(filepath.Join(folder, "thousand.yaml"), []byte(manifest), 0o600))
	w.program = exec.Command(program, "run", "-f", folder, "--node", "lb1", "--log-format", "json",
		"--run-dir", filepath.Join(dir, "run"), "--state-dir", filepath.Join(dir, "state"))
	w.program.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := w.program.StderrPipe()
	suite.Must(t, err)
	w.program.Stdout = os.Stderr
	director.Do(func() { err = w.program.Start() })
	suite.Must(t, err)
	w.events = &events{down: map[netip.Addr]time.Time{}, up: map[netip.Addr]bool{}}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			w.events.take(lines.Bytes())
		}
	}()
	w.stop = sync.OnceFunc(func() {
		for _, pid := range family(t, w.program.Process.Pid) { // the proxy outlives the agent, as it should
			if n, err := strconv.Atoi(pid); err == nil {
				_ = syscall.Kill(n, syscall.SIGKILL)
			}
		}
		<-read
		_ = w.program.Wait()
	})
	t.Cleanup(func() {
		w.stop()
		if t.Failed() {
			t.Logf("the program's last words:\n%s", strings.Join(w.events.last, "\n"))
		}
	})
}

// events is what the program says of servers.
type events struct {
	mu   sync.Mutex
	up   map[netip.Addr]bool
	down map[netip.Addr]time.Time
	last []string
}

func (e *events) take(line []byte) {
	var said struct {
		Time    time.Time
		Msg     string
		Address netip.Addr
		Healthy bool
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if json.Unmarshal(line, &said) != nil || said.Msg != "Health changed" {
		e.last = append(e.last[max(0, len(e.last)-20):], string(line))
		return
	}
	if said.Healthy {
		e.up[said.Address] = true
		delete(e.down, said.Address)
	} else {
		delete(e.up, said.Address)
		e.down[said.Address] = said.Time
	}
}

func (e *events) counts() (up, down int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.up), len(e.down)
}
