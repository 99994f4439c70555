package outages

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/strace"
	"github.com/truepacs/balancer/e2e/suite"
)

const (
	// program is the product in its image.
	program = "/truepacs"
	// traceDir is on the worker.
	traceDir     = "/run/trace"
	startedTrace = traceDir + "/started"
	runningTrace = traceDir + "/running"
)

//go:embed runc.sh
var runcScript string

// tracer is strace before all others: the process waits for it at each of its calls.
func tracer(file string) []string {
	return append(append([]string{"chrt", "--rr", "10"}, strace.Arguments()...), "-o", file)
}

// follower is a strace that runs on the worker.
type follower struct {
	title string
	file  string
	read  func(trace []byte) strace.Record
	// enough says whether a record shows what it must.
	enough func(strace.Record) error
	// end lets strace detach and end.
	end func(t *testing.T, ctx context.Context)
}

// followRestart follows the next agent that the kubelet starts, from before its first instruction.
func (w *world) followRestart(t *testing.T, ctx context.Context, title string) follower {
	t.Helper()
	script := strings.NewReplacer("@dir@", traceDir, "@strace@", strings.Join(tracer(startedTrace), " ")).Replace(runcScript)
	suite.Must(t, w.Worker().Put(ctx, traceDir+"/runc.sh", strings.NewReader(script), 0o755))
	w.OnWorker(ctx, t, "cp /usr/sbin/runc "+traceDir+"/runc && mount --bind "+traceDir+"/runc.sh /usr/sbin/runc")
	return follower{
		title: title, file: startedTrace,
		read: func(trace []byte) strace.Record { return strace.Since(trace, program) },
		enough: func(r strace.Record) error {
			if r.Programs == 0 {
				return errors.New("the agent was not followed from its start")
			}
			return nil
		},
		end: func(t *testing.T, ctx context.Context) {
			w.OnWorker(ctx, t, "umount -l /usr/sbin/runc && pid=$(cat "+traceDir+"/pid) && kill $pid && while kill -0 $pid 2>/dev/null; do sleep 0.1; done")
		},
	}
}

// follow follows a process that runs and may have nothing to do.
func (w *world) follow(t *testing.T, ctx context.Context, title, pattern string) follower {
	t.Helper()
	p, err := w.find(ctx, pattern)
	suite.Must(t, err)
	var printed printed.Text
	process, err := w.Worker().Start(ctx, lab.ProcessSpec{Argv: append(tracer(runningTrace), "-p", p.pid), Stderr: &printed})
	suite.Must(t, err)
	suite.Must(t, within(ctx, "strace is attached to "+p.command, func(context.Context) error {
		if !strings.Contains(printed.String(), " attached") {
			return fmt.Errorf("it printed %q", printed.String())
		}
		return nil
	}))
	return follower{
		title: title, file: runningTrace, read: strace.All,
		enough: func(strace.Record) error { return nil },
		end: func(t *testing.T, _ context.Context) {
			suite.Must(t, process.Signal(syscall.SIGTERM))
			_, err := process.Wait()
			suite.Must(t, err)
		},
	}
}

// acting says that a process acts: its trace must hold enough.
func (f follower) acting() follower {
	start := f.enough
	f.enough = func(r strace.Record) error { return errors.Join(start(r), r.Enough()) }
	return f
}

// record is what a trace shows so far.
func (w *world) record(ctx context.Context, f follower) (strace.Record, error) {
	trace, err := w.Worker().Get(ctx, f.file)
	return f.read(trace), err
}

// judge waits until traces show enough, ends them and looks for changes in them.
func (w *world) judge(t *testing.T, ctx context.Context, all ...follower) {
	t.Helper()
	for _, f := range all {
		suite.Must(t, within(ctx, "strace of "+f.title, func(ctx context.Context) error {
			r, err := w.record(ctx, f)
			return errors.Join(err, f.enough(r))
		}))
	}
	time.Sleep(2 * time.Second) // they go on working: resync is part of the start
	for _, f := range all {
		f.end(t, ctx)
		r, err := w.record(ctx, f)
		suite.Must(t, err)
		suite.Verdict(t, "strace of %s: %s", f.title, r)
		for _, change := range r.Changes {
			t.Errorf("%s changed the kernel: %s", f.title, change)
		}
	}
	w.OnWorker(ctx, t, "rm -r "+traceDir)
	if left := w.OnWorker(ctx, t, "grep -h '^TracerPid:' /proc/[0-9]*/task/[0-9]*/status 2>/dev/null | grep -vw 0 || true"); left != "" {
		t.Errorf("strace has not let go of threads:\n%s", left)
	}
}
