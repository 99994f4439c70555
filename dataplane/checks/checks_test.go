package checks

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/truepacs/balancer/dataplane/health"
	"github.com/truepacs/balancer/dataplane/health/agentcheck"
	"github.com/truepacs/balancer/dataplane/weights"
)

func TestSignal(t *testing.T) {
	cases := map[string]struct {
		verdict health.Verdict
		want    weights.Signal
	}{
		"no agent":    {health.Verdict{Healthy: true}, weights.Signal{Healthy: true}},
		"weight":      {health.Verdict{Agent: agentcheck.State{Weighted: true, Percent: 75}}, weights.Signal{Weighted: true, Percent: 75}},
		"drain":       {health.Verdict{Agent: agentcheck.State{Admin: agentcheck.Drain}}, weights.Signal{Drain: true}},
		"maintenance": {health.Verdict{Agent: agentcheck.State{Admin: agentcheck.Maintenance}}, weights.Signal{Drain: true}},
		"ready":       {health.Verdict{Agent: agentcheck.State{Admin: agentcheck.Ready}}, weights.Signal{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, signal(tc.verdict)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
