package health

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestAServerThatAnswersKeepsItsSocket: checks that pass go on over one socket each, which is as /proc says.
func TestAServerThatAnswersKeepsItsSocket(t *testing.T) {
	_, servers := startServer(t)
	const period = 100 * time.Millisecond
	before := sockets(t)
	var targets []Target
	for i, at := range servers {
		c := [2]Check{{Type: TCP}, echoCheck}[i%2]
		c.Port, c.Period, c.Timeout = at.Port(), period, time.Second
		targets = append(targets, Target{Key: fmt.Sprint(i), Address: at.Addr(), Checks: []Check{c}})
	}
	m := NewMonitor(Config{})
	t.Cleanup(func() {
		m.Close()
		if left := kept(before, sockets(t)); len(sockets(t)) > left {
			t.Errorf("%d sockets are left", len(sockets(t))-left)
		}
	})
	m.Set(targets)
	// On a busy host a check may be late, fail and get another socket: in one of several times all must keep theirs.
	most := 0
	for try := 0; try < 10 && most < len(targets); try++ {
		time.Sleep(10 * period)
		early := sockets(t)
		for inode := range before {
			delete(early, inode)
		}
		time.Sleep(20 * period)
		most = max(most, kept(early, sockets(t)))
	}
	if most != len(targets) {
		t.Errorf("at most %d of %d checks have the socket that they had 20 periods before", most, len(targets))
	}
}

// sockets are this process's, by inode.
func sockets(t *testing.T) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]bool{}
	for _, e := range entries {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			all[to] = true
		}
	}
	return all
}

// kept is how many of one are in the other.
func kept(one, other map[string]bool) (n int) {
	for inode := range one {
		if other[inode] {
			n++
		}
	}
	return n
}
