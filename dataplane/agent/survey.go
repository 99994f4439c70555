package agent

import (
	"context"
	"slices"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// firstSurvey is when the first survey is: once addresses are announced and servers were asked for.
const firstSurvey = time.Second

// retryEvery is the time between two passes that are made because something was left undone.
const retryEvery = 5 * time.Second

// survey looks at host and segment again and again until ctx ends, beside the passes: it waits for
// other hosts.
func (a *Agent) survey(ctx context.Context) {
	tick := time.NewTicker(min(a.cfg.SurveyEvery, firstSurvey))
	defer tick.Stop()
	var retried time.Time
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			tick.Reset(a.cfg.SurveyEvery)
			if time.Since(retried) >= retryEvery {
				retried = time.Now()
				a.retry()
			}
			a.surveyOnce(ctx)
		}
	}
}

// retry asks for a pass if the last one left something undone: what kept the kernel from doing it
// may be over, a module may be there now.
func (a *Agent) retry() {
	a.mu.Lock()
	undone := len(a.observed.Refused) > 0 || a.observed.Failure != nil
	a.mu.Unlock()
	if undone {
		a.Wake()
	}
}

// surveyOnce keeps what was found before if the survey as a whole fails: nothing is known then.
func (a *Agent) surveyOnce(ctx context.Context) {
	a.mu.Lock()
	want := a.desired
	a.mu.Unlock()
	if want == nil {
		return
	}
	found, err := a.cfg.Drivers.Surveyor.Survey(ctx, want.node)
	if err != nil {
		a.cfg.Log.V(1).Info("part of the survey failed", "cause", err.Error())
	}
	if ctx.Err() != nil || found == nil && err != nil {
		return
	}
	a.mu.Lock()
	before := a.findings
	a.findings = found
	a.mu.Unlock()
	if before != nil && slices.Equal(before, found) {
		return
	}
	a.tell(before, found)
	a.cfg.OnChange()
}

// tell logs what is new and what is over, for what is seen for seconds only.
func (a *Agent) tell(before, found []model.Finding) {
	for _, f := range found {
		if !slices.Contains(before, f) {
			a.cfg.Log.Info("found on this host or its network: "+f.Message, "reason", f.Reason, "on", f.Key)
		}
	}
	for _, f := range before {
		if !slices.Contains(found, f) {
			a.cfg.Log.Info("no longer found", "reason", f.Reason, "on", f.Key)
		}
	}
}
