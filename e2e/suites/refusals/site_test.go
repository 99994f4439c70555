package refusals

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/paths"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// goodManifest is the balancer that must not be harmed.
func goodManifest() string { return paths.Balancer("lb1") }

// world is a site with good services.
type world struct {
	*paths.World
	traffic *paths.Traffic
}

// newWorld builds the site; the product runs on the servers only.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{World: paths.NewWorld(t, "pidof")}
	for _, server := range w.Site.Servers {
		suite.Must(t, server.Host.Put(t.Context(), site.ManifestDir+"/flows.yaml", strings.NewReader(goodManifest()), 0o600))
		suite.Must(t, w.StartAgent(t.Context(), server.Host))
	}
	return w
}

// limit bounds a step far beyond what it takes on a slow machine.
func limit(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// onDirector runs a command and returns what it printed.
func (w *world) onDirector(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := w.MustRun(limit(t), w.Director, argv...)
	suite.Must(t, err)
	return out
}

// startFlows opens connections and a transfer of some MiB, at 1 MiB/s, on both paths.
func (w *world) startFlows(t *testing.T, size int64) {
	t.Helper()
	w.traffic = w.Start(t, paths.Load{Connections: 20, Bytes: size << 20, Rate: 1 << 20, Seed: 1})
}

// bothWork opens new connections on both paths.
func (w *world) bothWork(t *testing.T) error {
	return each(paths.Both(), func(p paths.Path) error {
		if err := w.Try(limit(t), p); err != nil {
			return fmt.Errorf("a new connection through %s: %w", p, err)
		}
		return nil
	})
}

// goodServicesWork ends the test if a connection was cut or a new one does not work.
func (w *world) goodServicesWork(t *testing.T, when string) {
	t.Helper()
	w.traffic.Whole(t, when)
	if err := w.bothWork(t); err != nil {
		t.Errorf("%s: %v", when, err)
	}
	if t.Failed() {
		t.FailNow()
	}
}
