package drain

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/pacs"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// Associations at a time, so many of them at least on the server that leaves, and objects of each. Spare ones take the
// place of those that a busy host lets run on for too long.
const (
	associations = 65
	spare        = 20
	leaving      = 50
	objects      = 60
)

// TestDrainLetsAssociationsEnd drains a server that fifty associations send to, each with at least half of
// its objects to go. ss on the server counts associations, a capture at its interface shows who still
// connects, Orthanc's own database has every object, and the agent is killed in between.
func TestDrainLetsAssociationsEnd(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	folder := t.TempDir()
	w := newWorld(t)
	corpus, err := pacs.Corpus(t.Context())
	suite.Must(t, err)
	p.Round(t, func(n uint64) {
		sent, err := pacs.MakeSeries(t.Context(), fmt.Sprintf("%s/%d", folder, n), p.SeedOf(n), associations+spare, objects)
		suite.Must(t, err)
		w.drainAssociations(t, sent, corpus[:12])
	})
}

func (w *world) drainAssociations(t *testing.T, all []pacs.Series, others []pacs.Instance) {
	t.Helper()
	seen := w.recordAttempts(t)
	senders, sent := w.send(t, all)
	before := len(w.peers(t, leaves, site.DICOMPort))
	if before < leaving {
		t.Fatalf("ss shows %d associations on %s, want %d: the sample is too small", before, leaver, leaving)
	}
	w.edit(t, v1alpha1.StateDrain, v1alpha1.StateActive)
	w.awaitState(t, "dicom", v1alpha1.ServerDraining, fmt.Sprintf("%d connections are left", before))
	drained := time.Now()
	if now := len(w.peers(t, leaves, site.DICOMPort)); now != before {
		t.Errorf("ss shows %d associations after the edit, %d before", now, before)
	}
	w.store(t, others[:6])
	w.resume(t, senders[:associations/2])
	w.restartAgent(t)
	w.store(t, others[6:])
	looks := w.watch(t, senders[:associations/2])
	for some := range slices.Chunk(senders[associations/2:], 5) {
		w.resume(t, some)
		looks += w.watch(t, some)
	}
	w.ended(t, senders)
	w.awaitState(t, "dicom", v1alpha1.ServerDrained, "")
	if left := w.peers(t, leaves, site.DICOMPort); len(left) > 0 || looks == 0 {
		t.Errorf("status says drained, ss shows %v; %d looks before", left, looks)
	}
	elsewhere := seen.compare(t, drained, before, len(others))
	total := w.whole(t, sent, others)
	back := w.back(t, others[:6])
	suite.Verdict(t, "%d associations, %d of them on %s by ss when it was drained, all ended with 0 and %d objects are on the servers; "+
		"no new connection to it, %d to the other; %d looks at status while associations were open, drained only after; active again: %d of 6 stores",
		len(senders), before, leaver, total, elsewhere, looks, back)
}

// attemptsSeen are captures of the first packets of connections at the servers.
type attemptsSeen [2]*lab.Capture

func (w *world) recordAttempts(t *testing.T) (seen attemptsSeen) {
	t.Helper()
	for i, server := range w.Site.Servers {
		seen[i] = record(t, server.Host, attempts(site.DICOMPort))
	}
	return seen
}

// compare checks that all connections to the server that leaves came before the drain, and returns how
// many came to the other one after it. before and stores are how many there must be.
func (seen attemptsSeen) compare(t *testing.T, drained time.Time, before, stores int) (elsewhere int) {
	t.Helper()
	old := 0
	for _, f := range frames(t, seen[leaves]) {
		if f.Time.Before(drained) {
			old++
			continue
		}
		t.Errorf("a new connection reached %s %s after the drain: %s", leaver, f.Time.Sub(drained), f)
	}
	for _, f := range frames(t, seen[stays]) {
		if f.Time.After(drained) {
			elsewhere++
		}
	}
	if old < before || elsewhere < stores {
		t.Errorf("%d connections to %s before the drain, ss showed %d; %d to the other server after it, %d stores", old, leaver, before, elsewhere, stores)
	}
	return elsewhere
}

// back makes the server active again and returns how many of some stores it gets.
func (w *world) back(t *testing.T, some []pacs.Instance) int {
	t.Helper()
	w.edit(t, v1alpha1.StateActive, v1alpha1.StateActive)
	w.awaitState(t, "dicom", v1alpha1.ServerActive, "")
	again := record(t, w.Site.Servers[leaves].Host, attempts(site.DICOMPort))
	w.store(t, some)
	n := len(frames(t, again))
	if n == 0 {
		t.Errorf("%s is active again and gets nothing", leaver)
	}
	return n
}

// send starts associations, five at a time, and stops each once its first objects are stored. One that has sent half by
// then ends before the drain. It returns when enough stand, and what was sent, whether by them or by others.
func (w *world) send(t *testing.T, all []pacs.Series) (standing []*pacs.Sending, sent []pacs.Series) {
	t.Helper()
	held := map[string]bool{} // series
	for some := range slices.Chunk(all, 5) {
		if len(standing) >= associations {
			break
		}
		begun := make([]*pacs.Sending, len(some))
		for i, s := range some {
			var err error
			begun[i], err = w.Modalities[(len(sent)+i)%len(w.Modalities)].Send(t.Context(), s)
			suite.Must(t, err)
			suite.Must(t, begun[i].Signal(syscall.SIGSTOP))
		}
		w.stop(t, some, begun)
		have := w.progress(t)
		for i, s := range some {
			if held[s.UID] = have[s.UID] <= objects/2; held[s.UID] {
				standing = append(standing, begun[i])
				continue
			}
			w.resume(t, begun[i:i+1])
			w.ended(t, begun[i:i+1])
		}
		sent = append(sent, some...)
	}
	have, most := w.progress(t), 0
	for _, s := range sent {
		if held[s.UID] {
			most = max(most, have[s.UID])
		}
	}
	if len(standing) < associations || most > objects/2 {
		t.Fatalf("%d of %d associations stand, one has sent %d of %d objects before the drain: the sample is empty", len(standing), len(sent), most, objects)
	}
	t.Logf("%d associations of %d stand, at most %d of %d objects sent", len(standing), len(sent), most, objects)
	return standing, sent
}

// slice is how long associations may run at a time until each has begun: too short for half of the
// objects.
const slice = 15 * time.Millisecond

// stop lets associations run slice by slice until an object of each is stored.
func (w *world) stop(t *testing.T, sent []pacs.Series, senders []*pacs.Sending) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	waiting := senders
	suite.Must(t, site.Until(ctx, "every association has begun", func() error {
		w.resume(t, waiting)
		time.Sleep(slice)
		for _, s := range waiting {
			suite.Must(t, s.Signal(syscall.SIGSTOP))
		}
		have := w.progress(t)
		waiting = nil
		for i, s := range sent {
			if have[s.UID] == 0 {
				waiting = append(waiting, senders[i])
			}
		}
		if len(waiting) > 0 {
			return fmt.Errorf("%d of %d have not", len(waiting), len(sent))
		}
		return nil
	}))
}

// resume lets associations go on.
func (w *world) resume(t *testing.T, senders []*pacs.Sending) {
	t.Helper()
	for _, s := range senders {
		suite.Must(t, s.Signal(syscall.SIGCONT))
	}
}

// progress is how many objects of each series the servers have.
func (w *world) progress(t *testing.T) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, server := range w.Site.Servers {
		have, err := server.Progress(t.Context())
		suite.Must(t, err)
		for uid, n := range have {
			all[uid] += n
		}
	}
	return all
}

// store sends objects in associations of their own; each must succeed.
func (w *world) store(t *testing.T, all []pacs.Instance) {
	t.Helper()
	for i, instance := range all {
		if code, output, err := w.Modalities[i%len(w.Modalities)].Store(t.Context(), instance); err != nil || code != 0 {
			t.Errorf("store during the drain: exit status %d, %v\n%s", code, err, output)
		}
	}
}

// watch asks for the status until all associations have ended, and ss after it: connections only
// become fewer, so one that ss shows was there when status spoke. It returns how often some were.
func (w *world) watch(t *testing.T, senders []*pacs.Sending) (open int) {
	t.Helper()
	for _, s := range senders {
		for going := true; going; {
			select {
			case <-s.Done():
				going = false
			case <-t.Context().Done():
				t.Fatal("associations do not end")
			case <-time.After(200 * time.Millisecond):
			}
			state, err := w.state(t.Context(), "dicom")
			suite.Must(t, err)
			left := w.peers(t, leaves, site.DICOMPort)
			if len(left) > 0 {
				open++
			}
			if len(left) > 0 && state.State != v1alpha1.ServerDraining {
				t.Errorf("status says %s: %s, ss shows %d associations", state.State, state.Message, len(left))
			}
		}
	}
	return open
}

// ended checks how the associations ended.
func (w *world) ended(t *testing.T, senders []*pacs.Sending) {
	t.Helper()
	for i, s := range senders {
		if code, output, err := s.Ended(); err != nil || code != 0 {
			t.Errorf("association %d: exit status %d, %v\n%s", i+1, code, err, strings.TrimSpace(output))
		}
	}
}

// whole checks that the servers have every object as it was sent, and returns how many.
func (w *world) whole(t *testing.T, sent []pacs.Series, others []pacs.Instance) int {
	t.Helper()
	hashes := map[string]string{}
	for _, server := range w.Site.Servers {
		stored, err := server.Stored(t.Context())
		suite.Must(t, err)
		for _, i := range stored {
			hashes[i.SOP] = i.Hash
		}
	}
	all := others
	for _, s := range sent {
		all = append(all[:len(all):len(all)], s.Images...)
	}
	for _, i := range all {
		if hashes[i.SOP] != i.Hash {
			t.Errorf("object %s: hash %q, sent %q", i.SOP, hashes[i.SOP], i.Hash)
		}
	}
	return len(all)
}
