package checks

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/suite"
)

// TestThousandServers checks 1,000 servers every second, half of them by C-ECHO of dcmtk and half by TCP:
// the processor time of all of the program's processes is that of /proc, and no process was started
// meanwhile. Then all servers are killed at once.
func TestThousandServers(t *testing.T) {
	servers, err := suite.Number("THOUSAND_SERVERS", 1000)
	suite.Must(t, err)
	w := newWorld(t, int(servers))
	await(t, "all servers are up", func() (string, bool) {
		up, down := w.events.counts()
		return fmt.Sprintf("%d up, %d down of %d", up, down, servers), up == int(servers)
	})
	time.Sleep(3 * time.Second) // what starting takes is not what checking takes
	t.Run("cost", w.cost)
	t.Run("killed", w.kill)
}

// cost is what a core has to do with it. What a core can do differs between machines, and on one that others share
// from minute to minute: make bench-l4 judges the median of several measurements, make test shows one.
func (w *world) cost(t *testing.T) {
	most, err := suite.Number("THOUSAND_PERCENT", 0)
	suite.Must(t, err)
	w.measure(t, "truepacs", w.program.Process.Pid, float64(most)/100)
}

// TestThousandServersOfHAProxy has HAProxy make the same checks in the same way, on another wire: what it
// costs there is the measure for what is possible on a machine.
func TestThousandServersOfHAProxy(t *testing.T) {
	servers, err := suite.Number("THOUSAND_SERVERS", 1000)
	suite.Must(t, err)
	w := newWorld(t, int(servers))
	await(t, "a C-ECHO was seen whole", func() (string, bool) {
		said := w.wire.echo()
		return fmt.Sprintf("%d pieces", len(said)), len(said) >= 3
	})
	w.stop()
	pid := w.haproxy(t)
	time.Sleep(5 * time.Second)
	w.measure(t, "HAProxy", pid, 0)
}

// await waits until something is so; each failure says how far it is.
func await(t *testing.T, what string, is func() (string, bool)) {
	t.Helper()
	said, ok := is()
	for end := time.Now().Add(time.Minute); !ok; said, ok = is() {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s: %s", what, said)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// measure prints a program's share of a core, the median of THOUSAND_TIMES measurements of 10 s, and judges it if there
// is a most.
func (w *world) measure(t *testing.T, name string, pid int, most float64) {
	t.Helper()
	times, err := suite.Number("THOUSAND_TIMES", 1)
	suite.Must(t, err)
	if times == 0 {
		t.Fatal("THOUSAND_TIMES is 0: nothing would be measured")
	}
	processes := family(t, pid)
	var shares []float64
	for range times {
		shares = append(shares, w.share(t, name, processes))
	}
	if now := family(t, pid); !slices.Equal(now, processes) {
		t.Errorf("the processes of %s were %v and are %v", name, processes, now)
	}
	slices.Sort(shares)
	median := shares[len(shares)/2]
	if most > 0 && median > most {
		t.Errorf("%.2f %% of a core, want at most %.0f %%", 100*median, 100*most)
	}
	suite.Verdict(t, "%s checks %d servers every second: median of %d measurements of 10 s %.2f %% of a core, in %d processes, no process started",
		name, len(w.servers), len(shares), 100*median, len(processes))
}

// share measures once.
func (w *world) share(t *testing.T, name string, processes []string) float64 {
	t.Helper()
	before, frames, began := ran(t, processes), w.wire.carried.Load(), time.Now()
	time.Sleep(10 * time.Second)
	took, after := time.Since(began), ran(t, processes)
	user, system := float64(after.user-before.user)/float64(took), float64(after.system-before.system)/float64(took)
	rate := float64(w.wire.carried.Load()-frames) / took.Seconds()
	if least := 6 * float64(len(w.servers)); rate < least {
		t.Errorf("%.0f frames a second are less than the %.0f that so many checks need", rate, least)
	}
	t.Logf("%s: %.1f %% of a core (%.1f in the kernel), %.0f frames a second on the wire", name, 100*(user+system), 100*system, rate)
	return user + system
}

// family is a process and its children.
func family(t *testing.T, pid int) []string {
	t.Helper()
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	suite.Must(t, err)
	all := append([]string{fmt.Sprint(pid)}, strings.Fields(string(children))...)
	for _, task := range tasks(t, pid) {
		more, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, task))
		if err == nil {
			all = append(all, strings.Fields(string(more))...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func tasks(t *testing.T, pid int) (ids []string) {
	t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	suite.Must(t, err)
	for _, e := range entries {
		ids = append(ids, e.Name())
	}
	return ids
}

// processor is time that a processor spent.
type processor struct{ user, system time.Duration }

// ran is how long processes have had a processor (proc(5), fields utime and stime of stat).
func ran(t *testing.T, pids []string) (sum processor) {
	t.Helper()
	const tick = time.Second / 100
	for _, pid := range pids {
		text, err := os.ReadFile("/proc/" + pid + "/stat")
		suite.Must(t, err)
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
		var user, system int64
		_, err = fmt.Sscan(fields[11]+" "+fields[12], &user, &system)
		suite.Must(t, err)
		sum.user += time.Duration(user) * tick
		sum.system += time.Duration(system) * tick
	}
	return sum
}

// kill ends all servers and asks of each that it was found down in time, after it had broken off as many
// connections as the threshold says.
func (w *world) kill(t *testing.T) {
	t.Helper()
	const most = threshold*period + 200*time.Millisecond
	killed := time.Now()
	w.end()
	await(t, "all servers are down", func() (string, bool) {
		_, down := w.events.counts()
		return fmt.Sprintf("%d of %d down", down, len(w.servers)), down == len(w.servers)
	})
	var times []time.Duration
	for _, server := range w.servers {
		at := w.events.down[server]
		times = append(times, at.Sub(killed))
		// The log rounds to milliseconds; the wire sees a packet before the program does.
		if n := w.wire.breaks(server, killed, at.Add(2*time.Millisecond)); n < threshold {
			t.Errorf("%s was called down after it had refused, reset or ended %d connections", server, n)
		}
	}
	slices.Sort(times)
	late := 0
	for _, d := range times {
		if d > most {
			late++
		}
	}
	if late > 0 {
		t.Errorf("%d servers were found down later than that", late)
	}
	suite.Verdict(t, "%d servers killed: half found down after %s, the last after %s (period %s, threshold %d: at most %s)",
		len(times), times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond), period, threshold, most)
}
