package agent

import (
	"context"
	"slices"
	"time"
)

// survey looks at host and segment again and again until ctx ends, beside the passes: it waits for
// other hosts.
func (a *Agent) survey(ctx context.Context) {
	tick := time.NewTicker(a.cfg.SurveyEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.surveyOnce(ctx)
		}
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
	changed := !slices.Equal(a.findings, found)
	a.findings = found
	a.mu.Unlock()
	if changed {
		a.cfg.OnChange()
	}
}
