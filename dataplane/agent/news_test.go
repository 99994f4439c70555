package agent

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/model"
)

// told runs an agent over h and counts what it tells.
func told(t *testing.T, h *host, w Watcher, use func(a *Agent, told *atomic.Int64)) {
	t.Helper()
	store := newStore(t)
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		a := New(Config{Log: logr.Discard(), Store: store, Drivers: h.drivers(), Watcher: w, OnChange: func() { n.Add(1) }})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Run(ctx) }()
		use(a, &n)
		cancel()
		<-done
	})
}

// passes counts the passes so far.
func (h *host) passes() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for _, call := range h.calls {
		if call == "announce" {
			n++
		}
	}
	return n
}

func TestPassesWithoutNewsTellNobody(t *testing.T) {
	h := newHost()
	h.setErr = &model.ItemError{Key: "ns/b/dicom", Reason: "KernelRefused", Err: errors.New("no")}
	told(t, h, nil, func(a *Agent, told *atomic.Int64) {
		_, _ = a.SetDesired(testNode(), nil)
		synctest.Wait()
		if n := told.Load(); n != 1 {
			t.Fatalf("the first pass told %d times", n)
		}
		wait(10 * time.Minute)
		if n, passes := told.Load(), h.passes(); n != 1 || passes < 60 {
			t.Errorf("%d passes of which nobody need know told %d times", passes, n-1)
		}
		for name, change := range map[string]func(){
			"a refusal is over":     func() { h.setErr = nil },
			"a failure":             func() { h.setErr = errors.New("no memory") },
			"a verdict":             func() { h.verdicts["ns/b/p/a"] = model.Verdict{Known: true, Healthy: true} },
			"the proxy's version":   func() { h.seen.Version = "2" },
			"a verdict of layer 7":  func() { h.seen.Verdicts = map[string]model.Verdict{"ns/b/p/c": {Known: true}} },
			"the proxy's refusal":   func() { h.seen.Refused = "no certificate" },
			"the proxy is up to it": func() { h.seen.Current = true },
		} {
			before := told.Load()
			h.mu.Lock()
			change()
			h.mu.Unlock()
			a.Wake()
			synctest.Wait()
			if told.Load() != before+1 {
				t.Errorf("%s: told %d times", name, told.Load()-before)
			}
		}
	})
}

func TestNewsOfServersThatLeave(t *testing.T) {
	of := func(phase drain.Phase, n int) Observed {
		return Observed{Leaving: map[drain.Key]drain.Status{{Service: "s", Server: "a"}: {Phase: phase, Connections: n}}}
	}
	if !sameObserved(of(drain.Draining, 3), of(drain.Draining, 3)) {
		t.Error("the same is news")
	}
	if sameObserved(of(drain.Draining, 3), of(drain.Draining, 2)) || sameObserved(of(drain.Draining, 0), of(drain.Drained, 0)) {
		t.Error("that a server is drained is no news")
	}
	if sameObserved(Observed{Revision: 1}, Observed{Revision: 2}) {
		t.Error("another node is no news")
	}
}

// onCall is a Watcher that tells when the test calls tell.
type onCall struct {
	tell func()
	err  error
}

func (w *onCall) Watch(ctx context.Context, changed func()) error {
	w.tell = changed
	if w.err == nil {
		<-ctx.Done()
	}
	return w.err
}

func TestChangesByOthersMakeAPass(t *testing.T) {
	h, w := newHost(), &onCall{}
	told(t, h, w, func(a *Agent, _ *atomic.Int64) {
		_, _ = a.SetDesired(testNode(), nil)
		synctest.Wait()
		before := h.passes()
		w.tell()
		synctest.Wait()
		if n := h.passes() - before; n != 1 {
			t.Errorf("%d passes, want 1", n)
		}
	})
}

func TestWithoutWatchingTheAgentGoesOn(t *testing.T) {
	h := newHost()
	told(t, h, &onCall{err: errors.New("no netlink")}, func(a *Agent, _ *atomic.Int64) {
		_, _ = a.SetDesired(testNode(), nil)
		wait(time.Minute)
		if !slices.Contains(h.calls, "ipvs") || h.passes() < 6 {
			t.Errorf("%d passes in a minute", h.passes())
		}
	})
}
