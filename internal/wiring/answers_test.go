package wiring

import (
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/internal/translate"
)

// TestKernelThatDoesNotAnswerIsGivenUp asks what the kernel never answers: a change of nothing
// without NLM_F_ACK. Every driver's question ends like this one if its answer is lost.
func TestKernelThatDoesNotAnswerIsGivenUp(t *testing.T) {
	o := Options{Log: logr.Discard(), RunDir: t.TempDir(), StateDir: t.TempDir(), SysctlDir: "/proc/sys/net", Marks: translate.DefaultMarks()}
	host, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = host.closer() }()
	request := nl.NewNetlinkRequest(unix.RTM_SETLINK, 0)
	request.AddData(&nl.IfInfomsg{IfInfomsg: unix.IfInfomsg{Index: 1}})
	answer := make(chan error, 1)
	go func() {
		_, err := request.Execute(unix.NETLINK_ROUTE, 0)
		answer <- err
	}()
	select {
	case err = <-answer:
	case <-time.After(6 * answerTimeout): // the library's own is twice as long
		t.Fatal("a question without an answer holds up the agent")
	}
	if !errors.Is(err, unix.EAGAIN) {
		t.Errorf("ended with %v, want %v", err, unix.EAGAIN)
	}
}
