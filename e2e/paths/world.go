package paths

import (
	"context"
	"testing"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// World is a site with flow servers, for suites on plain hosts.
type World struct {
	*site.Site
	Servers Servers
}

// NewWorld builds a site whose director has further tools. It is removed when the test ends.
func NewWorld(t *testing.T, tools ...string) *World {
	t.Helper()
	return NewWorldWith(t, site.Options{Tools: tools})
}

// NewWorldWith is NewWorld with options of the site.
func NewWorldWith(t *testing.T, options site.Options) *World {
	t.Helper()
	program, err := site.Program()
	suite.Must(t, err)
	options.Binary, options.Log = program, t.Logf
	s, err := site.New(t.Context(), options)
	suite.Must(t, err)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &World{Site: s}
	for _, server := range s.Servers {
		w.Servers.Serve(t.Context(), t, server.Host.(*lab.Namespace))
	}
	return w
}

// Start opens connections and begins a transfer on each path.
func (w *World) Start(t *testing.T, load Load) *Traffic {
	t.Helper()
	return w.Servers.Start(t.Context(), t, load, w.Modalities[0].Host, w.Modalities[1].Host)
}

// AwaitWorking waits until the balancer is ready and all its servers are healthy.
func (w *World) AwaitWorking(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	suite.Must(t, w.AwaitCondition(ctx, v1alpha1.ConditionReady, "True"))
	suite.Must(t, w.AwaitCondition(ctx, v1alpha1.ConditionServersHealthy, "True"))
}

// Try opens new connections on a path, from a client without others.
func (w *World) Try(ctx context.Context, p Path) error { return p.Try(ctx, w.Modalities[2].Host) }
