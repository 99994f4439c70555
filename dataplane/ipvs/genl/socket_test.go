package genl

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestRealSocket asks whatever kernel runs the test; it has IPVS or says that it has not.
func TestRealSocket(t *testing.T) {
	c, err := Dial(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, present := os.Stat("/proc/net/ip_vs")
	for range 3 {
		_, err := c.Info(t.Context())
		if present != nil && !errors.Is(err, ErrNoModule) && !errors.Is(err, ErrPermission) && err != nil {
			t.Errorf("got %v", err)
		}
		if present == nil && errors.Is(err, ErrNoModule) {
			t.Errorf("the module is there, but: %v", err)
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Info(t.Context()); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func dialSocket(t *testing.T) *socket {
	t.Helper()
	s, err := openSocket()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestSocketWaitsNoLonger: a deadline, a context that ends and Close all end the wait, and the
// socket goes on working after the first two.
func TestSocketWaitsNoLonger(t *testing.T) {
	s := dialSocket(t)
	b := make([]byte, receiveBuffer)
	short, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	if _, _, _, err := s.receive(short, b); !errors.Is(err, ErrTimeout) {
		t.Errorf("deadline: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, end)
	if _, _, _, err := s.receive(ended, b); !errors.Is(err, ErrTimeout) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if s.waiting(b) {
		t.Error("something is waiting")
	}
	// The controller is in every kernel; its own number is the answer.
	if err := s.send(finish(attributeName(begin(nil, controlFamily, 0, 1, controlGet, controlVersion), controlName, "nlctrl"), 0)); err != nil {
		t.Fatal(err)
	}
	n, from, whole, err := s.receive(t.Context(), b)
	if err != nil || from != 0 || !whole {
		t.Fatalf("from %d, whole %t, %v", from, whole, err)
	}
	m, _, err := cutMessage(b[:n])
	if err != nil || m.seq != 1 || m.port != s.port() {
		t.Errorf("%+v, %v", m, err)
	}
	checkClose(t, s)
}

func checkClose(t *testing.T, s *socket) {
	t.Helper()
	var waiter sync.WaitGroup
	waiter.Go(func() {
		if _, _, _, err := s.receive(t.Context(), make([]byte, 100)); !errors.Is(err, ErrClosed) {
			t.Errorf("closed while waiting: %v", err)
		}
	})
	time.Sleep(20 * time.Millisecond)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	waiter.Wait()
	if err := s.send(make([]byte, 16)); !errors.Is(err, ErrClosed) {
		t.Errorf("send after Close: %v", err)
	}
}

// TestSocketLosesAnswers: more answers than the buffer holds are ENOBUFS and no silence. A long
// message that does not fit is told, too.
func TestSocketLosesAnswers(t *testing.T) {
	s := dialSocket(t)
	var train []byte
	for seq := range uint32(8000) {
		start := len(train)
		train = finish(begin(train, controlFamily, unix.NLM_F_ACK, seq+1, 0xee, controlVersion), start)
	}
	if err := s.send(train); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, receiveBuffer)
	var err error
	answers := 0
	for ; answers <= 8000 && err == nil; answers++ {
		_, _, _, err = s.receive(t.Context(), b)
	}
	if !errors.Is(err, unix.ENOBUFS) {
		t.Errorf("after %d answers: %v", answers, err)
	}
	for s.waiting(b[:8]) {
		continue
	}
	if n := s.space(); n < maxTrain*answerSpace {
		t.Logf("the receive buffer has %d bytes only: trains have %d requests", n, n/answerSpace)
	}
}
