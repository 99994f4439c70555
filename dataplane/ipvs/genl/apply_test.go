package genl

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

func mustPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// obey acknowledges where asked to, and refuses the marks that say so.
func obey(_ *fakeKernel, m message) [][]byte {
	_, payload, _ := m.data()
	s, err := markOf(payload)
	switch {
	case err != nil:
		return [][]byte{status(m, unix.EINVAL)}
	case s%10 == 3:
		return [][]byte{status(m, unix.EEXIST)}
	case m.flags&unix.NLM_F_ACK != 0:
		return [][]byte{status(m, 0)}
	}
	return nil
}

func markOf(payload []byte) (uint32, error) {
	value, err := nested(payload, attrService)
	a := attributes{rest: value}
	for kind, value, ok := a.next(0); ok; kind, value, ok = a.next(0) {
		if kind == svcMark {
			return a.u32(kind, value), err
		}
	}
	return 0, err
}

func newServices(n int) []Change {
	all := make([]Change, n)
	for i := range all {
		all[i] = Change{Command: NewService, Service: marked(uint32(i + 1))}
	}
	return all
}

// TestApply: results are by index, one refusal stops no other, and system calls are few.
func TestApply(t *testing.T) {
	tests := map[string]struct{ n, buffer, sends int }{
		"none":             {0, 0, 0},
		"one":              {1, 0, 2}, // with the look-up of the family
		"the last refused": {3, 0, 2},
		"a train":          {256, 0, 2},
		"and one more":     {257, 0, 3},
		"30,000":           {30_000, 0, 119},
		"little space":     {100, 20 * answerSpace, 6},
		"no space at all":  {5, 1, 6},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			c, k := fake(t, Config{}, obey)
			k.buffer = tc.buffer
			results := c.Apply(t.Context(), newServices(tc.n))
			if len(results) != tc.n || k.sends != tc.sends {
				t.Fatalf("%d results of %d, %d system calls, want %d", len(results), tc.n, k.sends, tc.sends)
			}
			for i, err := range results {
				if refused := (i+1)%10 == 3; refused != errors.Is(err, ErrExists) || !refused && err != nil {
					t.Fatalf("change %d: %v", i, err)
				}
			}
		})
	}
}

// TestApplySendsOnlyWhatIsValid: the rest is refused at its place.
func TestApplySendsOnlyWhatIsValid(t *testing.T) {
	c, k := fake(t, Config{}, obey)
	good, s := marked(1), marked(2)
	s6, badMask, badTime, noScheduler, both := s, s, s, s, s
	s6.IPv6, s6.PrefixLength = true, 0
	badMask.PrefixLength = MaskWithHoles
	badTime.TimeoutSeconds = MaxTimeoutSeconds + 1
	noScheduler.Scheduler = ""
	both.Protocol = TCP
	d := Destination{Address: mustPort("192.0.2.1:0")}
	heavy, upside, mapped, strange := d, d, d, d
	heavy.Weight = -1
	upside.LowerThreshold = 1
	mapped.Address = mustPort("[::ffff:192.0.2.1]:0")
	strange.Forward = 7
	bad := []Change{
		{NewService, s6, d}, {NewService, badMask, d}, {SetService, badTime, d}, {NewService, noScheduler, d}, {DelService, both, d},
		{NewDest, s, heavy}, {SetDest, s, upside}, {NewDest, s, mapped}, {NewDest, s, strange}, {DelDest, s, Destination{}},
		{Command(4), s, d}, {NewService, Service{ServiceID: ByAddress(1, mustPort("192.0.2.1:1")), Scheduler: "rr"}, d},
		{NewService, Service{ServiceID: ServiceID{IPv6: true, Protocol: TCP, Address: mustPort("192.0.2.1:1")}, Scheduler: "rr"}, d},
	}
	var all []Change
	for _, change := range bad {
		all = append(all, change, Change{NewService, good, d})
	}
	for i, err := range c.Apply(t.Context(), all) {
		if want := i%2 == 0; want != errors.Is(err, ErrInvalid) || !want && err != nil {
			t.Errorf("%s: %v", all[i], err)
		}
	}
	if k.requests != 1+len(bad) {
		t.Errorf("%d requests, want %d and the look-up", k.requests, len(bad))
	}
}

// TestApplyAfterALoss: what was refused is known; of the others nobody knows, not even of those
// before, whose refusal may be what was lost.
func TestApplyAfterALoss(t *testing.T) {
	for loss, refused := range map[int]bool{1: false, 2: true} {
		c, _ := fake(t, Config{}, func(k *fakeKernel, m message) [][]byte {
			k.loss = loss
			return obey(k, m)
		})
		for i, err := range c.Apply(t.Context(), newServices(5)) {
			want := ErrOverrun
			if i == 2 && refused {
				want = ErrExists
			}
			if !errors.Is(err, want) {
				t.Errorf("loss %d, change %d: %v, want %v", loss, i, err, want)
			}
		}
	}
}

// TestApplyInSilence: what was refused is known, what came before it, too.
func TestApplyInSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := fake(t, Config{Timeout: time.Second}, func(k *fakeKernel, m message) [][]byte {
			if mark, _ := markOf(m.body[genericHeader:]); mark == 3 {
				return [][]byte{status(m, unix.EEXIST)}
			}
			return nil
		})
		want := []error{nil, nil, ErrExists, ErrTimeout, ErrTimeout}
		for i, err := range c.Apply(t.Context(), newServices(5)) {
			if !errors.Is(err, want[i]) {
				t.Errorf("change %d: %v, want %v", i, err, want[i])
			}
		}
	})
}

// TestApplyIsCancelled: what is not sent yet has the context's error.
func TestApplyIsCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c, _ := fake(t, Config{}, func(k *fakeKernel, m message) [][]byte {
		if k.sends == 3 {
			cancel()
		}
		return obey(k, m)
	})
	results := c.Apply(ctx, newServices(1000))
	if results[0] != nil || !errors.Is(results[700], context.Canceled) || !errors.Is(results[999], context.Canceled) {
		t.Errorf("%v, %v, %v", results[0], results[700], results[999])
	}
}

// TestApplyAcrossAReload: the changes meet a number that has gone and are sent once more; a
// destination that is not there is not taken for that.
func TestApplyAcrossAReload(t *testing.T) {
	c, k := fake(t, Config{}, obey)
	if err := c.Apply(t.Context(), newServices(1))[0]; err != nil {
		t.Fatal(err)
	}
	k.family = 31
	for i, err := range c.Apply(t.Context(), newServices(2)) {
		if err != nil {
			t.Errorf("change %d: %v", i, err)
		}
	}
	k.family = 0
	for i, err := range c.Apply(t.Context(), newServices(2)) {
		if !errors.Is(err, ErrNoModule) {
			t.Errorf("without the module: change %d: %v", i, err)
		}
	}
	k.family = 32
	k.answer = func(m message) [][]byte { return [][]byte{status(m, unix.ENOENT)} }
	before := k.requests
	change := Change{Command: DelDest, Service: marked(1), Destination: Destination{Address: mustPort("192.0.2.1:0")}}
	if err := c.Apply(t.Context(), []Change{change})[0]; !errors.Is(err, ErrNoDestination) || k.requests-before != 3 {
		t.Errorf("%v after %d requests, want 3: look-up, change, look-up", err, k.requests-before)
	}
}

// BenchmarkTrain makes the bytes of a train: nothing is to be allocated for a request.
func BenchmarkTrain(b *testing.B) {
	changes := newServices(maxTrain)
	buffer := make([]byte, 0, 1<<16)
	b.ReportAllocs()
	for b.Loop() {
		out := buffer
		for i := range changes {
			start := len(out)
			out = finish(changes[i].fill(begin(out, fakeFamily, 0, uint32(i), uint8(changes[i].Command), familyVersion)), start)
		}
	}
}

// TestCounts: 600 changes are three datagrams, the family's number another that writes nothing.
func TestCounts(t *testing.T) {
	c, k := fake(t, Config{}, func(k *fakeKernel, m message) [][]byte {
		if m.flags&unix.NLM_F_ACK != 0 {
			return [][]byte{status(m, 0)}
		}
		return nil
	})
	all := make([]Change, 600)
	for i := range all {
		all[i] = Change{Command: NewService, Service: marked(uint32(i + 1))}
	}
	for _, err := range c.Apply(t.Context(), all) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got, want := c.Counts(), (Counts{Sends: 4, Writes: 3}); got != want || k.sends != 4 {
		t.Errorf("counted %+v, want %+v; the kernel got %d", got, want, k.sends)
	}
}

func TestRefusal(t *testing.T) {
	err := Refusal(Change{Command: NewService, Service: marked(7)}, unix.ENOENT)
	if !errors.Is(err, ErrNoScheduler) || !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v", err)
	}
}

// TestHangingKernelCostsOneTimeout: 600 changes are three trains; the first waits, the rest is not tried.
func TestHangingKernelCostsOneTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, k := fake(t, Config{Timeout: time.Minute}, func(*fakeKernel, message) [][]byte { return nil })
		all := make([]Change, 600)
		for i := range all {
			all[i] = Change{Command: NewService, Service: marked(uint32(i + 1))}
		}
		begin := time.Now()
		for _, err := range c.Apply(t.Context(), all) {
			if !errors.Is(err, ErrTimeout) {
				t.Fatalf("got %v", err)
			}
		}
		if took := time.Since(begin); took != time.Minute || k.sends != 2 {
			t.Errorf("took %s and %d datagrams, want a minute and 2", took, k.sends)
		}
	})
}
