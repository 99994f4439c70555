package changes

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// paths are those of the load: each pool, and where a route comes and goes.
func paths() []string { return []string{"/", "/weighted/x", "/members/x", "/marked/x", "/route/1/x"} }

// load is requests without end: wrk (HTTP/1.1, connections kept), h2load or h2Session (HTTP/2 over TLS), and a client that makes a
// connection for each request and stream.
type load struct {
	w     *world
	wrk   *peers.Process
	out   *bytes.Buffer // of wrk
	stop  chan struct{}
	halt  func() // ends all but wrk
	ended sync.WaitGroup

	mu sync.Mutex
	h2 []string // what each run of h2load printed
	// streams are those that were answered to h2Sessions, and goAways how many of these the front ended.
	streams, goAways int
	fresh            int
	failed           []string
}

// startLoad starts it, but for HTTP/2. The host has other things to do, so that requests come at a rate, a good thousand in a second.
func (w *world) startLoad(t *testing.T) *load {
	t.Helper()
	l := &load{w: w, out: &bytes.Buffer{}, stop: make(chan struct{})}
	l.halt = sync.OnceFunc(func() { close(l.stop); l.ended.Wait() })
	t.Cleanup(l.halt)
	script := filepath.Join(w.dir, "paths.lua")
	suite.Must(t, os.WriteFile(script, []byte(`local paths, n = {"`+strings.Join(paths(), `", "`)+`"}, 0
request = function() n = n + 1; return wrk.format("GET", paths[n % #paths + 1]) end
delay = function() return 20 end
`), 0o600))
	wrk := exec.Command("wrk", "--threads", "1", "--connections", "16", "--duration", "6h", "--timeout", patience.String(), "--script", script, "http://"+vip)
	wrk.Stdout, wrk.Stderr = l.out, l.out
	l.wrk = peers.Launch(t, w.in, wrk)
	l.ended.Go(l.connect)
	return l
}

// startH2Load runs h2load again and again; a run takes a few seconds, because it prints nothing when it is stopped.
func (l *load) startH2Load(t *testing.T) {
	l.ended.Go(func() { l.runH2Load(t) })
}

// startStreams has clients of our own in place of h2load.
func (l *load) startStreams() {
	for range h2Clients {
		l.ended.Go(l.requestStreams)
	}
}

func (l *load) runH2Load(t *testing.T) {
	arguments := []string{"--clients", "8", "--max-concurrent-streams", "4", "--threads", "1", "--duration", "5", "--rps", "50"}
	for _, path := range paths() {
		arguments = append(arguments, "https://"+vip+path)
	}
	for !l.stopped(0) {
		out := &bytes.Buffer{}
		cmd := exec.Command("h2load", arguments...)
		cmd.Stdout, cmd.Stderr = out, out
		p := peers.Launch(t, l.w.in, cmd)
		if err := p.Wait(); err != nil {
			l.fail("h2load: " + err.Error())
		}
		l.mu.Lock()
		l.h2 = append(l.h2, out.String())
		l.mu.Unlock()
	}
}

// connect makes connections.
func (l *load) connect() {
	for !l.stopped(20 * time.Millisecond) {
		for _, try := range []func() error{
			func() error { return l.w.serves(l.w.dial, 80) },
			func() error { return l.w.serves(l.w.dialTLS, 443) },
			l.w.streams,
		} {
			if err := try(); err != nil {
				l.fail("a new connection: " + err.Error())
			}
			l.fresh++
		}
	}
}

// stopped tells whether the load is to end, within a time.
func (l *load) stopped(within time.Duration) bool {
	select {
	case <-l.stop:
		return true
	case <-time.After(within):
		return false
	}
}

func (l *load) fail(what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = append(l.failed, time.Now().Format(time.TimeOnly)+" "+what)
}

// finish ends the load and judges it.
func (l *load) finish(t *testing.T) string {
	t.Helper()
	suite.Must(t, syscall.Kill(l.wrk.PID, syscall.SIGINT)) // it prints then
	if err := l.wrk.Wait(); err != nil {
		t.Errorf("wrk: %v", err)
	}
	l.halt()
	failed := len(l.failed)
	for _, what := range l.failed {
		t.Error(what)
	}
	one, err := judgeWRK(l.out.String())
	if err != nil {
		failed++
		t.Errorf("wrk: %v; it printed:\n%s", err, l.out)
	}
	two := l.streams
	for i, text := range l.h2 {
		n, err := judgeH2Load(text)
		if err != nil {
			failed++
			t.Errorf("h2load, run %d: %v; it printed:\n%s", i+1, err, text)
		}
		two += n
	}
	if l.fresh == 0 || two == 0 {
		t.Errorf("%d new connections, %d requests of HTTP/2", l.fresh, two)
	}
	return fmt.Sprintf("requests: wrk %d, HTTP/2 %d, %d on connections of their own, %d failures", one, two, l.fresh, failed)
}

var (
	wrkDone = regexp.MustCompile(`(?m)^ *(\d+) requests in `)
	h2Done  = regexp.MustCompile(`(?m)^requests: (\d+) total, (\d+) started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored, (\d+) timeout`)
	h2Codes = regexp.MustCompile(`(?m)^status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx`)
)

// judgeWRK returns how many requests were answered. wrk has a line of errors only if there were some.
func judgeWRK(text string) (int, error) {
	done := wrkDone.FindStringSubmatch(text)
	if done == nil || done[1] == "0" {
		return 0, errors.New("it made no request")
	}
	n, err := strconv.Atoi(done[1])
	if err != nil {
		return 0, err
	}
	for _, bad := range []string{"Socket errors", "Non-2xx"} {
		if strings.Contains(text, bad) {
			return n, errors.New("it had errors")
		}
	}
	return n, nil
}

// judgeH2Load returns how many requests were answered.
func judgeH2Load(text string) (int, error) {
	done := h2Done.FindStringSubmatch(text)
	if done == nil || done[4] == "0" {
		return 0, errors.New("it made no request")
	}
	n, err := strconv.Atoi(done[4])
	switch {
	case err != nil:
		return 0, err
	case done[3] != done[4] || done[5] != "0" || done[6] != "0" || done[7] != "0":
		return n, errors.New("requests failed")
	case !h2Codes.MatchString(text):
		return n, errors.New("not every status is 2xx")
	case !strings.Contains(text, "Application protocol: h2\n"):
		return n, errors.New("it did not speak HTTP/2")
	}
	return n, nil
}
