package genl

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// TestInterruptedListIsReadAgain: the kernel says that it was interrupted, on any message, or shows
// a service twice.
func TestInterruptedListIsReadAgain(t *testing.T) {
	inTheMiddle := func(m message) [][]byte {
		all := listing(m, 0, 1, 2, 3)
		all[1][6] |= unix.NLM_F_DUMP_INTR
		return all
	}
	tests := map[string]struct {
		bad   func(m message) [][]byte
		times int
		want  error
	}{
		"flag at the end":        {func(m message) [][]byte { return listing(m, unix.NLM_F_DUMP_INTR, 1) }, 1, nil},
		"flag in the middle":     {inTheMiddle, 1, nil},
		"one twice":              {func(m message) [][]byte { return listing(m, 0, 1, 2, 2) }, 1, nil},
		"just not for too long":  {inTheMiddle, dumpAttempts - 1, nil},
		"for too long":           {inTheMiddle, dumpAttempts, ErrInterrupted},
		"one twice for too long": {func(m message) [][]byte { return listing(m, 0, 1, 2, 1) }, dumpAttempts, ErrInterrupted},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			bad := tc.times
			c, k := fake(t, Config{}, func(_ *fakeKernel, m message) [][]byte {
				if bad--; bad >= 0 {
					return tc.bad(m)
				}
				return listing(m, 0, 7, 8)
			})
			got, err := c.Services(t.Context())
			if !errors.Is(err, tc.want) {
				t.Fatalf("got %v, want %v", err, tc.want)
			}
			if tc.want == nil && !cmp.Equal(got, []Service{marked(7), marked(8)}, cmp.Comparer(Service.Equal)) {
				t.Errorf("the list is %v, want that of the last attempt only", got)
			}
			if want := 1 + min(tc.times+1, dumpAttempts); k.sends != want {
				t.Errorf("%d requests, want %d", k.sends, want)
			}
		})
	}
}

// TestAnswersToOthersAreSkipped: left-overs and strangers are no answers, and their number is
// bounded.
func TestAnswersToOthersAreSkipped(t *testing.T) {
	late := func(m message) []byte { m.seq += 1 << 20; return status(m, unix.EPERM) }
	stranger := func(m message) []byte {
		b := status(m, unix.EPERM)
		b[12]++
		return b
	}
	ask := func(noise int, one func(message) []byte) error {
		c, _ := fake(t, Config{}, func(_ *fakeKernel, m message) [][]byte {
			var all [][]byte
			for range noise {
				all = append(all, one(m))
			}
			return append(all, listing(m, 0, 1)...)
		})
		_, err := c.Services(t.Context())
		return err
	}
	for name, noise := range map[string]func(message) []byte{"late answers": late, "a stranger's": stranger} {
		if err := ask(100, noise); err != nil {
			t.Errorf("after 100 of %s: %v", name, err)
		}
		if err := ask(maxForeign+1, noise); !errors.Is(err, ErrAnswer) {
			t.Errorf("after very many of %s: %v", name, err)
		}
	}
}

// TestOtherSendersAreNotHeard: any program may send to the socket.
func TestOtherSendersAreNotHeard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, k := fake(t, Config{Timeout: time.Second}, func(_ *fakeKernel, m message) [][]byte { return listing(m, 0, 1) })
		k.foreign = true
		if _, err := c.Services(t.Context()); !errors.Is(err, ErrTimeout) {
			t.Errorf("got %v", err)
		}
	})
}

// TestSilenceEnds: no answer is an error after the time that was given, and what comes late is not
// taken for the answer to the next request.
func TestSilenceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := true
		var late [][]byte
		c, k := fake(t, Config{Timeout: 3 * time.Second}, func(_ *fakeKernel, m message) [][]byte {
			if silent {
				late = listing(m, 0, 666)
				return nil
			}
			return listing(m, 0, 1)
		})
		begin := time.Now()
		if _, err := c.Services(t.Context()); !errors.Is(err, ErrTimeout) || !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 3*time.Second {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Services(ctx); !errors.Is(err, ErrTimeout) || time.Since(begin) != 4*time.Second {
			t.Errorf("with a context of one second after %s: %v", time.Since(begin), err)
		}
		silent, k.queue = false, late
		if got, err := c.Services(t.Context()); err != nil || len(got) != 1 || got[0].Mark != 1 {
			t.Errorf("then: %v, %v", got, err)
		}
	})
}

// TestWaitingForTheTurnEnds: a call that waits for another's end heeds its context.
func TestWaitingForTheTurnEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := fake(t, Config{Timeout: time.Hour}, func(*fakeKernel, message) [][]byte { return nil })
		var first sync.WaitGroup
		ctx, cancel := context.WithCancel(t.Context())
		first.Go(func() { _, _ = c.Info(ctx) })
		synctest.Wait()
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := c.Info(short); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		cancel()
		first.Wait()
	})
}

// TestBadAnswers: each is an error and none a crash or an endless wait.
func TestBadAnswers(t *testing.T) {
	s := marked(1)
	tests := map[string]struct {
		answer func(k *fakeKernel, m message) [][]byte
		want   error
	}{
		"lost": {func(k *fakeKernel, _ message) [][]byte { k.loss = 1; return nil }, ErrOverrun},
		"cut":  {func(k *fakeKernel, m message) [][]byte { k.cut = true; return listing(m, 0, 1) }, ErrAnswer},
		"overrun": {func(_ *fakeKernel, m message) [][]byte {
			b := status(m, 0)
			b[4] = unix.NLMSG_OVERRUN
			return [][]byte{b}
		}, ErrOverrun},
		"half a header": {func(*fakeKernel, message) [][]byte { return [][]byte{make([]byte, 7)} }, ErrAnswer},
		"other command": {func(_ *fakeKernel, m message) [][]byte { return [][]byte{data(m, fakeFamily, 0, NewDest, nil)} }, ErrAnswer},
		"other family": {func(_ *fakeKernel, m message) [][]byte {
			return [][]byte{data(m, 77, 0, NewService, appendService(nil, &s, true))}
		}, ErrAnswer},
		"no service": {func(_ *fakeKernel, m message) [][]byte { return [][]byte{data(m, fakeFamily, 0, NewService, nil)} }, ErrAnswer},
		"end with error": {func(_ *fakeKernel, m message) [][]byte {
			b := status(m, unix.EPERM)
			b[4] = unix.NLMSG_DONE
			return [][]byte{b}
		}, ErrPermission},
		"refused": {func(_ *fakeKernel, m message) [][]byte { return [][]byte{status(m, unix.EPERM)} }, ErrPermission},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c, _ := fake(t, Config{Timeout: time.Minute}, tc.answer)
			if got, err := c.Services(t.Context()); !errors.Is(err, tc.want) || got != nil {
				t.Errorf("got %v, %v, want %v", got, err, tc.want)
			}
		})
	}
}

// TestModuleComesAndGoes: the family's number is looked up when it is needed, and again when it
// may have gone.
func TestModuleComesAndGoes(t *testing.T) {
	c, k := fake(t, Config{}, func(k *fakeKernel, m message) [][]byte {
		return [][]byte{data(m, k.family, 0, setInfo, attribute32(attribute32(nil, infoVersion, 0x010201), infoSize, 4096))}
	})
	for _, step := range []struct {
		family uint16
		want   error
	}{{0, ErrNoModule}, {30, nil}, {31, nil}, {0, ErrNoModule}, {0, ErrNoModule}, {32, nil}} {
		k.family = step.family
		info, err := c.Info(t.Context())
		if !errors.Is(err, step.want) || err == nil && info.String() != "IP Virtual Server version 1.2.1 (size=4096)" {
			t.Errorf("with family %d: %v, %v", step.family, info, err)
		}
	}
}

// TestEmptyListOfDestinations: the kernel gives one for a service that is not there.
func TestEmptyListOfDestinations(t *testing.T) {
	there := false
	c, _ := fake(t, Config{}, func(_ *fakeKernel, m message) [][]byte {
		command, _, _ := m.data()
		switch {
		case command == getDest:
			return [][]byte{done(m, 0)}
		case there:
			s := marked(1)
			return [][]byte{data(m, fakeFamily, 0, NewService, appendService(nil, &s, true))}
		}
		return [][]byte{status(m, unix.ESRCH)}
	})
	if _, err := c.Destinations(t.Context(), ByMark(1, false)); !errors.Is(err, ErrNoService) {
		t.Errorf("of no service: %v", err)
	}
	there = true
	if got, err := c.Destinations(t.Context(), ByMark(1, false)); err != nil || len(got) != 0 {
		t.Errorf("of a service without: %v, %v", got, err)
	}
}

// TestWordsOfTheKernel: what the kernel says beyond the number is passed on.
func TestWordsOfTheKernel(t *testing.T) {
	c, _ := fake(t, Config{}, func(_ *fakeKernel, m message) [][]byte {
		return [][]byte{worded(m, unix.EINVAL, "Attribute failed policy\nvalidation")}
	})
	err := c.SetTimeouts(t.Context(), Timeouts{TCP: time.Second})
	var refusal *Error
	if !errors.As(err, &refusal) || refusal.Text != "Attribute failed policy?validation" || !strings.Contains(err.Error(), refusal.Text) {
		t.Errorf("got %v", err)
	}
}

// TestValuesThatAreNotSent are refused before the kernel sees them.
func TestValuesThatAreNotSent(t *testing.T) {
	c, k := fake(t, Config{}, func(*fakeKernel, message) [][]byte { return nil })
	_, byZone := c.Service(t.Context(), ByAddress(TCP, mustPort("[fe80::1%eth0]:1")))
	for name, err := range map[string]error{
		"zone":        byZone,
		"half second": c.SetTimeouts(t.Context(), Timeouts{TCP: 1500 * time.Millisecond}),
		"negative":    c.SetTimeouts(t.Context(), Timeouts{UDP: -time.Second}),
		"long name":   c.StartDaemon(t.Context(), Daemon{Role: Master, Interface: strings.Repeat("x", 16)}),
		"no role":     c.StartDaemon(t.Context(), Daemon{Interface: "eth0"}),
		"sync ID":     c.StartDaemon(t.Context(), Daemon{Role: Master, Interface: "eth0", SyncID: 256}),
		"unicast":     c.StartDaemon(t.Context(), Daemon{Role: Master, Interface: "eth0", Group: mustPort("192.0.2.1:0").Addr()}),
	} {
		if !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if k.sends != 0 {
		t.Errorf("%d datagrams were sent", k.sends)
	}
}

// TestOneClientForAll has goroutines share a client; the race detector watches.
func TestOneClientForAll(t *testing.T) {
	c, _ := fake(t, Config{}, func(_ *fakeKernel, m message) [][]byte { return listing(m, 0, 1, 2) })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if got, err := c.Services(t.Context()); err != nil || len(got) != 2 {
					t.Errorf("%v, %v", got, err)
				}
			}
		})
	}
	all.Wait()
}

// TestRequestBytes holds a request against what linux/ip_vs.h asks for, byte by byte.
func TestRequestBytes(t *testing.T) {
	d := Change{Command: DelDest, Service: marked(0x54000001), Destination: Destination{Address: mustPort("192.0.2.11:104")}}
	got := finish(d.fill(begin(nil, 30, unix.NLM_F_ACK, 7, uint8(d.Command), familyVersion)), 0)
	want := []byte{
		0x44, 0, 0, 0, 30, 0, 5, 0, 7, 0, 0, 0, 0, 0, 0, 0, // nlmsghdr
		7, 1, 0, 0, // genlmsghdr
		0x14, 0, 1, 0x80, 6, 0, 1, 0, 2, 0, 0, 0, 8, 0, 5, 0, 1, 0, 0, 0x54, // service: family, mark
		0x1c, 0, 2, 0x80, 8, 0, 1, 0, 192, 0, 2, 11, 6, 0, 2, 0, 0, 104, 0, 0, 6, 0, 11, 0, 2, 0, 0, 0, // destination
	}
	if !bytes.Equal(got, want) { // little-endian, as are all machines of the project
		t.Errorf("got  %x\nwant %x", got, want)
	}
}
