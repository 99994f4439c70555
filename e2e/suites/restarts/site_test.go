package restarts

import (
	"context"
	"testing"

	"github.com/truepacs/balancer/e2e/paths"
	"github.com/truepacs/balancer/e2e/suite"
)

// world is a site on which the product works.
type world struct{ *paths.World }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{paths.NewWorld(t, "strace")}
	t.Cleanup(func() {
		if t.Failed() {
			w.explain(t)
		}
	})
	suite.Must(t, w.PutManifest(t.Context(), "flows.yaml", paths.Balancer("lb1")))
	suite.Must(t, w.StartAgents(t.Context()))
	w.AwaitWorking(t)
	return w
}

// explain prints what helps to understand a failure.
func (w *world) explain(t *testing.T) {
	t.Logf("director printed:\n%s", w.Output(w.Director))
	for _, argv := range [][]string{{"ps", "-o", "pid,user,vsz,rss,stat,args"}, {"free", "-m"}, {"dmesg"}, {"ss", "-tn"}} {
		out, err := w.MustRun(context.WithoutCancel(t.Context()), w.Director, argv...)
		t.Logf("%v: %v\n%s", argv, err, out)
	}
}
