package external

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/health"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// directory returns a directory with programs by name.
func directory(t *testing.T, programs map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, body := range programs {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func call(name string, timeout time.Duration) health.ProgramCall {
	return health.ProgramCall{Name: name, Server: netip.MustParseAddrPort("192.0.2.11:104"), Timeout: timeout}
}

func TestOutcomes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("run this test as root: a check program must belong to root")
	}
	dir := directory(t, map[string]string{
		"pass": "#!/bin/sh\nexit 0\n", "fail": "#!/bin/sh\necho no archive; exit 1\n", "odd": "#!/bin/sh\nexit 3\n",
		"signal": "#!/bin/sh\nkill -9 $$\n", "noisy": "#!/bin/sh\nhead -c 1000000 /dev/zero | tr '\\0' x; printf '\\033'; exit 1\n",
		"no-interpreter": "#!/nonexistent\n",
	})
	r := New(Config{Dir: dir})
	cases := map[string]struct {
		exit   int
		output string
		broken bool
	}{
		"pass": {}, "fail": {exit: 1, output: "no archive "}, "odd": {exit: 3}, "signal": {broken: true},
		"noisy": {exit: 1, output: strings.Repeat("x", maxOutput)}, "no-interpreter": {broken: true}, "absent": {broken: true},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			res := r.Run(t.Context(), call(name, 20*time.Second))
			if res.Exit != tc.exit || res.Output != tc.output || (res.Err != nil) != tc.broken || res.TimedOut {
				t.Errorf("%+v", res)
			}
		})
	}
}

// TestRights has the program itself as the witness.
func TestRights(t *testing.T) {
	dir := directory(t, map[string]string{"look": "#!/bin/sh\ngrep -E '^(Uid|Gid|Groups|CapPrm|CapEff|CapInh|NoNewPrivs):' /proc/self/status | tr -s '\\t ' ' '\n",
		"env": "#!/bin/sh\nenv | sort | grep -vE '^(PWD|SHLVL|_|OLDPWD)='\npwd\n"})
	r := New(Config{Dir: dir})
	res := r.Run(t.Context(), call("look", 20*time.Second))
	want := "Uid: 65534 65534 65534 65534 Gid: 65534 65534 65534 65534 Groups: CapInh: 0000000000000000 " +
		"CapPrm: 0000000000000000 CapEff: 0000000000000000 NoNewPrivs: 1"
	if got := strings.Join(strings.Fields(res.Output), " "); got != want || res.Err != nil {
		t.Errorf("got  %s\nwant %s (%v)", got, want, res.Err)
	}
	res = r.Run(t.Context(), call("env", 2500*time.Millisecond))
	want = "PATH=/usr/sbin:/usr/bin:/sbin:/bin TRUEPACS_CHECK_TIMEOUT=2.5 TRUEPACS_SERVER_ADDRESS=192.0.2.11 TRUEPACS_SERVER_PORT=104 /"
	if got := strings.Join(strings.Fields(res.Output), " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if os.Geteuid() != 0 {
		t.Error("this process lost its rights")
	}
}

func TestForbiddenFiles(t *testing.T) {
	dir := directory(t, map[string]string{"good": "#!/bin/sh\n", "open": "#!/bin/sh\n", "foreign": "#!/bin/sh\n", "plain": "#!/bin/sh\n"})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Chmod(filepath.Join(dir, "open"), 0o775))
	must(os.Chmod(filepath.Join(dir, "plain"), 0o644))
	must(os.Chown(filepath.Join(dir, "foreign"), 1000, 0))
	must(os.Symlink("/bin/true", filepath.Join(dir, "link")))
	must(os.Symlink("good", filepath.Join(dir, "inner-link")))
	must(os.Mkdir(filepath.Join(dir, "sub"), 0o755))
	must(unix.Mkfifo(filepath.Join(dir, "fifo"), 0o755))
	for _, name := range []string{"open", "plain", "foreign", "link", "inner-link", "sub", "fifo", "absent", "../good", ".hidden", "", "UPPER", strings.Repeat("a", 64)} {
		if f, err := openProgram(dir, name); !errors.Is(err, ErrForbidden) {
			t.Errorf("%q: %v, %v", name, f, err)
		}
	}
	f, err := openProgram(dir, "good")
	must(err)
	f.Close()
	must(os.Chmod(dir, 0o777))
	if _, err := openProgram(dir, "good"); !errors.Is(err, ErrForbidden) {
		t.Errorf("directory that all may write: %v", err)
	}
	if _, err := openProgram("", "good"); !errors.Is(err, ErrOff) {
		t.Errorf("no directory: %v", err)
	}
}

// TestTimeoutKillsTheGroup: a background child of the program must be gone too.
func TestTimeoutKillsTheGroup(t *testing.T) {
	dir := directory(t, map[string]string{
		"hang":  "#!/bin/sh\nsleep 1000 & echo $!\nwait\n",
		"leave": "#!/bin/sh\nsleep 1000 & echo $!\nexit 0\n",
	})
	r := New(Config{Dir: dir})
	for name, timedOut := range map[string]bool{"hang": true, "leave": false} {
		timeout := time.Second
		if !timedOut {
			timeout = 20 * time.Second
		}
		res := r.Run(t.Context(), call(name, timeout))
		pid, err := strconv.Atoi(strings.TrimSpace(res.Output))
		if err != nil || res.TimedOut != timedOut {
			t.Fatalf("%s: %+v", name, res)
		}
		awaitGone(t, pid)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(300*time.Millisecond, cancel)
	if res := r.Run(ctx, call("hang", time.Minute)); !errors.Is(res.Err, context.Canceled) {
		t.Errorf("cancelled: %+v", res)
	}
}

// TestOrphansAreTakenIn: where the process is the one that inherits orphans, as in a pod, the killed
// children of a program leave no zombies.
func TestOrphansAreTakenIn(t *testing.T) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0) }()
	dir := directory(t, map[string]string{
		"hang":  "#!/bin/sh\nsleep 1000 & echo $!\nwait\n",
		"leave": "#!/bin/sh\nsleep 1000 & echo $!\nexit 0\n",
	})
	r := New(Config{Dir: dir})
	r.reaps = true
	for name, timeout := range map[string]time.Duration{"hang": time.Second, "leave": 20 * time.Second} {
		res := r.Run(t.Context(), call(name, timeout))
		pid, err := strconv.Atoi(strings.TrimSpace(res.Output))
		if err != nil {
			t.Fatalf("%s: %+v", name, res)
		}
		if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
			t.Errorf("%s: process %d is left: %s", name, pid, stat)
		}
	}
}

// awaitGone waits until a process is dead or a zombie.
func awaitGone(t *testing.T, pid int) {
	t.Helper()
	for range 500 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("process %d is still there", pid)
}

// TestConcurrencyIsLimited: each program notes itself in a directory and counts who is there.
func TestConcurrencyIsLimited(t *testing.T) {
	marks := t.TempDir()
	for _, d := range []string{marks, filepath.Dir(marks)} {
		if err := os.Chmod(d, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	dir := directory(t, map[string]string{"slow": "#!/bin/sh\ncd " + marks + " && touch $$ && sleep 0.1 && ls | wc -l && rm $$\n"})
	r := New(Config{Dir: dir, Concurrent: 3})
	var most atomic.Int32
	var wg sync.WaitGroup
	for range 12 {
		wg.Go(func() {
			res := r.Run(t.Context(), call("slow", 30*time.Second))
			n, err := strconv.Atoi(strings.TrimSpace(res.Output))
			if res.Err != nil || res.Exit != 0 || err != nil {
				t.Errorf("%+v", res)
			}
			for {
				if old := most.Load(); old >= int32(n) || most.CompareAndSwap(old, int32(n)) {
					break
				}
			}
		})
	}
	wg.Wait()
	if n := most.Load(); n < 1 || n > 3 {
		t.Errorf("%d programs at a time", n)
	}
}
