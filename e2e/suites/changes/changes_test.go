package changes

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/suite"
)

const (
	// window is in what time all changes are made, at most.
	window = 60 * time.Second
	// pace is the time between two changes: with the full count, 200 edits and 20 certificates, the window has room for 240.
	pace = window / 240
	// growth is what the proxy may have grown by in memory, in bytes.
	growth = 8 << 20
)

// TestChanges edits the manifest and renews the certificate, one change after the other as soon as a client has seen it in force,
// while requests and lasting connections go on.
func TestChanges(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	renewals, err := suite.Number("CHANGES_CERTIFICATES", 4)
	suite.Must(t, err)
	w := newWorld(t)
	renewed := make([]certificate, renewals)
	for i := range renewed {
		renewed[i] = newCertificate(t, uint64(i)+1) // the first of them is RSA, after one that is ECDSA
	}
	connections := w.newLasting(t)
	connections.open(t, lasting)
	load := w.startLoad(t)
	load.startH2Load(t)
	warmUp(t, w, p)
	proxy := w.proxy(t)
	before := proxy.memory(t)

	began := time.Now()
	times := w.makeAll(t, p, renewed)
	took := time.Since(began)
	if took > window {
		t.Errorf("%d changes took %s, more than %s", len(times), took.Round(time.Millisecond), window)
	}
	after := proxy.memory(t)
	if now := w.proxy(t); now != proxy {
		t.Errorf("the proxy was process %+v and is %+v", proxy, now)
	}
	if after > before+growth {
		t.Errorf("the proxy has %d KiB in memory, it had %d KiB", after>>10, before>>10)
	}
	requests, kept := load.finish(t), connections.finish(t)
	slices.Sort(times)
	suite.Verdict(t, "%d edits and %d certificates in %s, each seen by a client (median %s, longest %s after it was written); %s; %s; one process; resident %d KiB before, %d KiB after",
		p.Count, renewals, took.Round(100*time.Millisecond), times[len(times)/2].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond), requests, kept, before>>10, after>>10)
}

// warmUp makes each kind of edit twice, so that all is as it was, and renews the certificate.
func warmUp(t *testing.T, w *world, p suite.Plan) {
	t.Helper()
	for n := range uint64(2 * len(edits())) {
		w.edit(t, edits()[n/2], p.Last()+n)
	}
	for n := range uint64(2) {
		w.renewSeen(t, newCertificate(t, n))
	}
	time.Sleep(2 * time.Second)
}

// makeAll makes the changes of a plan, certificates spread among edits, and returns how long each took to be seen.
func (w *world) makeAll(t *testing.T, p suite.Plan, renewed []certificate) (times []time.Duration) {
	t.Helper()
	began, done := time.Now(), 0
	for n := p.From; n <= p.Last(); n++ {
		time.Sleep(time.Until(began.Add(time.Duration(len(times)) * pace)))
		times = append(times, w.edit(t, editOf(p.Seed, n), n))
		for due := int((n - p.From + 1) * uint64(len(renewed)) / p.Count); done < due; done++ {
			time.Sleep(time.Until(began.Add(time.Duration(len(times)) * pace)))
			times = append(times, w.renewSeen(t, renewed[done]))
		}
	}
	return times
}

// edit makes change n and returns when a client has seen it.
func (w *world) edit(t *testing.T, e edit, n uint64) time.Duration {
	t.Helper()
	before := w.configuration
	after := before
	e.change(&after, n)
	if w.configuration = after; e.seen(w, before) == nil {
		t.Fatalf("change %d (%s) is seen before it is made", n, e.name)
	}
	w.configure(t, after)
	return w.await(t, fmt.Sprintf("change %d (%s)", n, e.name), func() error { return e.seen(w, before) })
}

// renewSeen renews the certificate and returns when a client was shown the new one.
func (w *world) renewSeen(t *testing.T, c certificate) time.Duration {
	t.Helper()
	w.renew(t, c)
	return w.await(t, "renewed certificate", func() error { return w.shows(c) })
}
