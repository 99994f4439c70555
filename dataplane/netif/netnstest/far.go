package netnstest

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// Far is another host: a network namespace of its own, with lo up, that ends with the test.
type Far struct {
	thread int
	work   chan func()
}

// NewFar makes another host. It has every right that the test program has.
func NewFar(t testing.TB) *Far {
	t.Helper()
	f := &Far{work: make(chan func())}
	made := make(chan error)
	go f.run(made)
	if err := <-made; err != nil {
		t.Fatalf("make a network namespace: %v: run this test as root", err)
	}
	t.Cleanup(func() { close(f.work) })
	f.Run(t, "ip", "link", "set", "lo", "up")
	return f
}

// run keeps one thread, which takes the namespace with it when it ends.
func (f *Far) run(made chan<- error) {
	runtime.LockOSThread()
	f.thread = unix.Gettid()
	err := unix.Unshare(unix.CLONE_NEWNET)
	made <- err
	if err != nil {
		return
	}
	for work := range f.work {
		work()
	}
}

// Do calls a function in the host. It must not end the test; sockets that it opens may be used
// anywhere.
func (f *Far) Do(work func()) {
	done := make(chan struct{})
	f.work <- func() {
		defer close(done)
		work()
	}
	<-done
}

// Enter moves the calling goroutine, which must be locked to its thread for good, into the host's
// network namespace. It is for what goes on beside Do.
func (f *Far) Enter() error {
	ns, err := os.Open(fmt.Sprintf("/proc/self/task/%d/ns/net", f.thread))
	if err != nil {
		return err
	}
	defer ns.Close()
	return unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
}

// Run runs a program in the host and returns what it printed; a failure ends the test.
func (f *Far) Run(t testing.TB, name string, args ...string) string {
	t.Helper()
	var out []byte
	var err error
	f.Do(func() { out, err = exec.CommandContext(t.Context(), name, args...).CombinedOutput() })
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Cable connects an interface of the test's namespace with one of the host; both are up.
func (f *Far) Cable(t testing.TB, near, far string) {
	t.Helper()
	Run(t, "ip", "link", "add", near, "type", "veth", "peer", "name", far)
	Run(t, "ip", "link", "set", far, "netns", strconv.Itoa(f.thread))
	Run(t, "ip", "link", "set", near, "up")
	f.Run(t, "ip", "link", "set", far, "up")
}
