package agent

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/truepacs/balancer/dataplane/model"
)

// surveyor finds what it is told to.
type surveyor struct {
	mu    sync.Mutex
	found []model.Finding
	err   error
}

func (s *surveyor) Survey(context.Context, model.Node) ([]model.Finding, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found, s.err
}

func (s *surveyor) finds(found []model.Finding, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.found, s.err = found, err
}

// logbook keeps log lines.
type logbook struct {
	mu   sync.Mutex
	text string
}

func (l *logbook) write(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text += line + "\n"
}

// String returns them.
func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text
}

// TestFindingsComeAndGo follows a finding from the survey to Observed and the log, and back.
func TestFindingsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, changes := &logbook{}, atomic.Int32{}
		s := &surveyor{found: []model.Finding{}}
		drivers := newHost().drivers()
		drivers.Surveyor = s
		a := New(Config{
			Store: newStore(t), Drivers: drivers, OnChange: func() { changes.Add(1) },
			Log: funcr.New(func(_, args string) { log.write(args) }, funcr.Options{}),
		})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); a.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		if _, err := a.SetDesired(model.Node{}, nil); err != nil {
			t.Fatal(err)
		}
		if a.Observed().Findings != nil {
			t.Error("findings before the first survey")
		}
		wait := func(d time.Duration) { time.Sleep(d); synctest.Wait() }
		wait(firstSurvey)
		if found := a.Observed().Findings; found == nil || len(found) > 0 || changes.Load() != 2 {
			t.Errorf("after the first survey: %v, %d changes", found, changes.Load())
		}
		lost := model.Finding{Key: "ns/b/dicom", Reason: "ServerWithoutVIP", Message: "Server pacs-a is silent."}
		s.finds([]model.Finding{lost}, errors.New("something else could not be read"))
		wait(5 * time.Second)
		if found := a.Observed().Findings; len(found) != 1 || found[0] != lost || !strings.Contains(log.String(), "Server pacs-a is silent.") {
			t.Errorf("found %v, logged %s", found, log.String())
		}
		s.finds(nil, errors.New("nothing could be read"))
		wait(5 * time.Second)
		if found := a.Observed().Findings; len(found) != 1 {
			t.Errorf("a survey that failed took the finding away: %v", found)
		}
		s.finds([]model.Finding{}, nil)
		wait(5 * time.Second)
		if found := a.Observed().Findings; len(found) != 0 || !strings.Contains(log.String(), `"no longer found"`) {
			t.Errorf("found %v, logged %s", found, log.String())
		}
	})
}

// lateModule refuses every service while it is told to.
type lateModule struct {
	ipvsOf
	refuse *atomic.Bool
}

func (l lateModule) Set(ctx context.Context, all []model.VirtualService, timeouts model.IPVSTimeouts) error {
	if l.refuse.Load() {
		return &model.ItemError{Key: "ns/b/dicom", Reason: "ModuleMissing", Err: errors.New("modprobe ip_vs")}
	}
	return l.ipvsOf.Set(ctx, all, timeouts)
}

// TestWhatWasRefusedIsTriedAgainWithTheSurvey: a module that is loaded late serves within five
// seconds, without a restart.
func TestWhatWasRefusedIsTriedAgainWithTheSurvey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost()
		var refuse atomic.Bool
		refuse.Store(true)
		drivers := h.drivers()
		drivers.VirtualServer = lateModule{ipvsOf{h}, &refuse}
		drivers.Surveyor = &surveyor{found: []model.Finding{}}
		a := New(Config{Store: newStore(t), Drivers: drivers, Resync: time.Hour})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); a.Run(ctx) }()
		defer func() { cancel(); <-ended }()
		if _, err := a.SetDesired(model.Node{}, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(a.Observed().Refused) != 1 {
			t.Fatalf("refused %v", a.Observed().Refused)
		}
		refuse.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if len(a.Observed().Refused) != 0 {
			t.Errorf("still refused: %v", a.Observed().Refused)
		}
	})
}

// TestMissingModuleIsNamedFromTheFirstPassOn: what the kernel has cannot be read either.
func TestMissingModuleIsNamedFromTheFirstPassOn(t *testing.T) {
	h := newHost()
	h.readErr = &model.ItemError{Reason: "ModuleMissing", Err: errors.New("modprobe ip_vs")}
	run(t, h, newStore(t), func(a *Agent) {
		node := model.Node{Services: []model.VirtualService{{Key: "ns/b/dicom"}, {Key: "ns/b/web"}}}
		if _, err := a.SetDesired(node, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		for _, s := range node.Services {
			if item := a.Observed().Refused[s.Key]; item == nil || item.Reason != "ModuleMissing" {
				t.Errorf("%s: %v", s.Key, item)
			}
		}
		if err := a.Observed().Failure; err != nil {
			t.Errorf("failure %v", err)
		}
	})
}
