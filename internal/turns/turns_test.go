package turns

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

const after = 15 * time.Second

// agent is a regular agent in a test. Each call opens the locks anew: an open file description
// is to flock(2) what a process is.
type agent struct {
	unlock  func()
	waiting bool
}

func startAgent(t *testing.T, dir string) *agent {
	t.Helper()
	a := &agent{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	unlock, err := Agent(ctx, dir, func() { a.waiting = true })
	if err != nil {
		t.Fatal(err)
	}
	a.unlock = unlock
	return a
}

// coldStart is a cold-start agent in a test.
type coldStart struct {
	acts  atomic.Bool
	turns atomic.Int32
	// linger is how long it takes to let go.
	linger time.Duration
	cancel context.CancelFunc
	done   chan error
}

func startColdStart(ctx context.Context, dir string) *coldStart {
	c := &coldStart{done: make(chan error, 1), linger: 300 * time.Millisecond}
	ctx, c.cancel = context.WithCancel(ctx)
	go func() { c.done <- ColdStartAgent(ctx, dir, after, c.act) }()
	return c
}

func (c *coldStart) act(ctx context.Context) error {
	c.turns.Add(1)
	c.acts.Store(true)
	<-ctx.Done()
	time.Sleep(c.linger)
	c.acts.Store(false)
	return nil
}

func (c *coldStart) stop(t *testing.T) {
	t.Helper()
	c.cancel()
	if err := <-c.done; err != nil {
		t.Error(err)
	}
	if c.acts.Load() {
		t.Error("it acts although it was stopped")
	}
}

func TestColdStartAgentActsAfterAWhileAndYieldsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := startColdStart(t.Context(), dir)
		defer c.stop(t)
		time.Sleep(after - time.Second)
		if c.acts.Load() {
			t.Fatal("it acts too early")
		}
		time.Sleep(2 * time.Second)
		if !c.acts.Load() {
			t.Fatal("it does not act although nobody else does")
		}
		asked := time.Now()
		a := startAgent(t, dir)
		if c.acts.Load() {
			t.Error("two agents act")
		}
		if waited := time.Since(asked); waited > c.linger+4*retry {
			t.Errorf("the regular agent waited %s", waited)
		}
		time.Sleep(10 * after)
		if c.acts.Load() {
			t.Error("it acts beside a regular agent")
		}
		a.unlock()
		time.Sleep(after + time.Second)
		if !c.acts.Load() || c.turns.Load() != 2 {
			t.Errorf("it had %d turns, want a second one", c.turns.Load())
		}
	})
}

func TestContainerRestartDoesNotTriggerTheColdStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := startColdStart(t.Context(), dir)
		defer c.stop(t)
		for range 5 {
			a := startAgent(t, dir)
			time.Sleep(after)
			a.unlock()
			time.Sleep(after - time.Second)
		}
		if n := c.turns.Load(); n != 0 {
			t.Errorf("it had %d turns while a regular agent was only restarted", n)
		}
	})
}

func TestRegularAgentsHandOverWithoutTheColdStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		c := startColdStart(t.Context(), dir)
		defer c.stop(t)
		first := startAgent(t, dir)
		second := make(chan *agent)
		go func() { second <- startAgent(t, dir) }()
		time.Sleep(10 * after)
		select {
		case <-second:
			t.Fatal("two regular agents act")
		default:
		}
		first.unlock()
		next := <-second
		if !next.waiting {
			t.Error("the second was not told that it stands by")
		}
		next.unlock()
		if c.turns.Load() != 0 {
			t.Error("the cold-start agent acted")
		}
	})
}

func TestAgentThatStopsWaitingLeavesTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		a := startAgent(t, dir)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := Agent(ctx, dir, func() {}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		a.unlock()
		c := startColdStart(t.Context(), dir)
		defer c.stop(t)
		time.Sleep(after + time.Second)
		if !c.acts.Load() {
			t.Error("one that is gone still stands in the queue")
		}
	})
}

func TestErrorOfActEndsTheColdStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, failure := t.TempDir(), errors.New("no socket")
		err := ColdStartAgent(t.Context(), dir, after, func(context.Context) error { return failure })
		if !errors.Is(err, failure) {
			t.Errorf("got %v", err)
		}
		startAgent(t, dir).unlock()
	})
}

func TestColdStartProxyWaitsForTheLastRegularOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		vacant := func() <-chan error {
			c := make(chan error, 1)
			go func() { c <- AwaitNoProxy(t.Context(), dir, after) }()
			return c
		}
		early := vacant()
		time.Sleep(10 * after)
		if len(early) > 0 {
			t.Fatal("it acts before an agent has made the lock")
		}
		ctx, cancel := context.WithCancel(t.Context())
		go HoldProxy(ctx, dir) // started before the lock is there
		if err := Prepare(dir, os.Getgid()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * after)
		if lives, err := ProxyLives(dir); !lives || err != nil {
			t.Errorf("a regular proxy lives: %t, %v", lives, err)
		}
		if len(early) > 0 {
			t.Fatal("it acts beside a regular proxy")
		}
		cancel()
		time.Sleep(after - time.Second)
		if len(early) > 0 {
			t.Error("it acts too early")
		}
		if err := <-early; err != nil {
			t.Error(err)
		}
		if lives, err := ProxyLives(dir); lives || err != nil {
			t.Errorf("no regular proxy lives: %t, %v", lives, err)
		}
	})
}

// TestLocksEndWithTheirProcess kills a process that holds the lock.
func TestLocksEndWithTheirProcess(t *testing.T) {
	defer goleak.VerifyNone(t)
	dir := t.TempDir()
	if err := Prepare(dir, os.Getgid()); err != nil {
		t.Fatal(err)
	}
	holder := exec.Command("flock", "--shared", "--no-fork", filepath.Join(dir, proxyLock), "sleep", "600")
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	until(t, ctx, dir, true)
	if err := holder.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = holder.Wait()
	until(t, ctx, dir, false)
	if err := AwaitNoProxy(ctx, dir, 3*retry); err != nil {
		t.Error(err)
	}
}

func until(t *testing.T, ctx context.Context, dir string, want bool) {
	t.Helper()
	for {
		lives, err := ProxyLives(dir)
		if err != nil || ctx.Err() != nil {
			t.Fatalf("lives: %t, want %t: %v %v", lives, want, err, ctx.Err())
		}
		if lives == want {
			return
		}
		_ = pause(ctx, retry)
	}
}

func TestPrepareLetsTheGroupRead(t *testing.T) {
	dir := t.TempDir()
	// As an earlier version made it.
	if err := os.WriteFile(filepath.Join(dir, proxyLock), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := Prepare(dir, os.Getgid()); err != nil {
			t.Fatal(err)
		}
	}
	info, err := os.Stat(filepath.Join(dir, proxyLock))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("%v, %v", info, err)
	}
}
