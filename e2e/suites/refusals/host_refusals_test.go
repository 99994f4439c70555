package refusals

import (
	"testing"

	"github.com/truepacs/balancer/e2e/suite"
)

// plan is the mutations that are made unless the environment says otherwise.
func plan() suite.Plan { return suite.Plan{Name: "REFUSALS", Unit: "MUTATIONS", Seed: 1, Count: 150} }

func TestMain(m *testing.M) { plan().Run(m) }

// gateway is the director's default gateway.
const gateway = "192.0.2.1"

// TestRefusalsOnAHost gives a director what an administrator may get wrong, while good services
// work on it: none of their connections is cut, new ones work, and no process ends.
func TestRefusalsOnAHost(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	s := startServer(t)
	all, chosen := badSpecs(t, p)
	h := newHost(t, int64(30+25*len(chosen))+int64(p.Count/4))
	t.Run("bad specs", func(t *testing.T) { refuse(t, h, all, chosen, p.Seed) })
	t.Run("unfitting specs", func(t *testing.T) { unfitting(t, h) })
	t.Run("mutations", func(t *testing.T) { mutations(t, h, s, p) })
	h.traffic.Finish(t.Context(), t)
}
