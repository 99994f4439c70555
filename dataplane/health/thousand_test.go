package health

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// checkerVariable makes the test binary check the servers that it names, separated by commas, and
// say how soon it noticed the end of all of them.
const checkerVariable = "TRUEPACS_HEALTH_TEST_CHECKER"

// thousand are as many targets on the given servers, C-ECHO and TCP in turns, checked every second.
func thousand(servers []netip.AddrPort) []Target {
	var targets []Target
	for i := range 1000 {
		at := servers[i%len(servers)]
		c := [2]Check{{Type: TCP}, echoCheck}[i/len(servers)%2]
		c.Port, c.Period, c.Timeout = at.Port(), time.Second, time.Second
		targets = append(targets, Target{Key: fmt.Sprint(i), Address: at.Addr(), Checks: []Check{c}})
	}
	return targets
}

// runChecker prints "up" when every target is up, and KEY@TIME for each that goes down, with the time in
// nanoseconds since 1970, each on a line.
func runChecker() {
	var servers []netip.AddrPort
	for _, s := range strings.Split(os.Getenv(checkerVariable), ",") {
		servers = append(servers, netip.MustParseAddrPort(s))
	}
	targets := thousand(servers)
	healthy, down := map[string]bool{}, make(chan struct{})
	m := NewMonitor(Config{OnChange: func(key string, v Verdict) {
		was := healthy[key]
		healthy[key] = v.Healthy
		switch {
		case v.Healthy && count(healthy) == len(targets):
			fmt.Println("up")
		case was && !v.Healthy:
			fmt.Printf("%s@%d\n", key, time.Now().UnixNano())
			if count(healthy) == 0 {
				close(down)
			}
		}
	}})
	m.Set(targets)
	<-down
	m.Close()
}

func count(healthy map[string]bool) (n int) {
	for _, up := range healthy {
		if up {
			n++
		}
	}
	return n
}

// TestThousandServersAreKilled: 1,000 targets are found down when their servers are killed. How soon is
// printed; that it is soon enough is shown by TestDetectionWithJitter in a time of its own. Once more
// under strace, which slows the checker down and is the witness that no process is started.
func TestThousandServersAreKilled(t *testing.T) {
	t.Run("alone", func(t *testing.T) { killThousand(t) })
	t.Run("under strace", func(t *testing.T) {
		trace := filepath.Join(t.TempDir(), "trace")
		killThousand(t, "strace", "-f", "--seccomp-bpf", "-qq", "-o", trace, "-e", "trace=execve,execveat,fork,vfork,clone,clone3")
		witness(t, trace)
	})
}

func killThousand(t *testing.T, wrapper ...string) {
	t.Helper()
	server, servers := startServer(t)
	argv := slices.Concat(wrapper, []string{os.Args[0]})
	checker := exec.Command(argv[0], argv[1:]...)
	var list []string
	for _, s := range servers {
		list = append(list, s.String())
	}
	checker.Env = append(os.Environ(), checkerVariable+"="+strings.Join(list, ","))
	var out lines
	checker.Stdout, checker.Stderr = &out, &out
	if err := checker.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- checker.Wait() }()
	out.await(t, func(all []string) bool { return len(all) > 0 && all[len(all)-1] == "up" })
	time.Sleep(2 * time.Second)
	killed := time.Now()
	if err := server.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Fatalf("the checker: %v\n%s", err, out.String())
		}
	case <-time.After(time.Minute):
		_ = checker.Process.Kill()
		<-ended
		t.Fatalf("not all servers were found down:\n%s", out.String())
	}
	report(t, killed, out.all())
}

// report prints when servers were found down.
func report(t *testing.T, killed time.Time, all []string) {
	t.Helper()
	var worst time.Duration
	down := map[int]bool{}
	for _, s := range all {
		var key int
		var at int64
		if _, err := fmt.Sscanf(s, "%d@%d", &key, &at); err == nil && time.Unix(0, at).After(killed) {
			down[key], worst = true, max(worst, time.Unix(0, at).Sub(killed))
		}
	}
	n := len(down)
	if n < 900 { // on a starved machine some may have been down before
		t.Errorf("%d servers were found down, not 1000", n)
	}
	t.Logf("%d servers killed, checked every second, threshold 3: the last found down after %v", n, worst.Round(time.Millisecond))
}

// witness reads what strace saw: the checker's own execve, and threads.
func witness(t *testing.T, trace string) {
	t.Helper()
	content, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	threads, programs := 0, 0
	for line := range bytes.Lines(content) {
		switch {
		case bytes.Contains(line, []byte("execve")):
			programs++
		case bytes.Contains(line, []byte("CLONE_THREAD")):
			threads++
		case bytes.Contains(line, []byte("clone")), bytes.Contains(line, []byte("fork")):
			if !bytes.Contains(line, []byte("resumed>")) {
				t.Errorf("a process was started: %s", line)
			}
		}
	}
	if programs != 1 || threads == 0 {
		t.Errorf("strace saw %d programs and %d threads; want the checker alone", programs, threads)
	}
}
