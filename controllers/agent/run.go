package agent

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/truepacs/balancer/controllers"
	dataplane "github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/internal/heartbeat"
	"github.com/truepacs/balancer/internal/inspect"
	"github.com/truepacs/balancer/internal/metrics"
	"github.com/truepacs/balancer/internal/node"
	"github.com/truepacs/balancer/internal/translate"
	"github.com/truepacs/balancer/internal/wiring"
)

// Run runs the agent until ctx ends. While another agent acts on the host it stands by.
func Run(ctx context.Context, o Options) error {
	if err := o.Validate(); err != nil {
		return err
	}
	r, err := newRunner(o)
	if err != nil {
		return err
	}
	go heartbeat.Run(ctx, heartbeat.Path("agent"), r.heartbeat)
	unlock, err := r.host.Lock(ctx, func() { o.Log.Info("another agent acts on this host, this one stands by") })
	if err != nil {
		return stopped(ctx, err)
	}
	defer unlock()
	r.active.Store(true)
	o.Log.Info("this agent acts on the host", "node", o.Node, "version", o.Version)
	r.restore()
	go r.serveAPI(ctx)
	go metrics.Run(ctx, o.Log, o.MetricsAddress, r.host.Inspect(), metrics.NewCertificates(r.node.Certificates))
	go r.answer(ctx)
	return r.host.Run(ctx)
}

// answer answers the administrator's commands. Without that the agent goes on all the same.
func (r *runner) answer(ctx context.Context) {
	mux := http.NewServeMux()
	r.host.Inspect().Register(mux)
	if err := inspect.Serve(ctx, r.options.RunDir, mux); err != nil && ctx.Err() == nil {
		r.log.Error(err, "the commands explain, connections and stats get no answer on this host")
	}
}

// stopped makes no error of being told to stop.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // that is what this function is for
	}
	return err
}

func newRunner(o Options) (*runner, error) {
	cfg, err := apiConfig(o)
	if err != nil {
		return nil, err
	}
	marks, err := ParseMarks(o.MarkRange)
	if err != nil {
		return nil, err
	}
	r := &runner{options: o, config: cfg, log: o.Log, report: make(chan struct{}, 1)}
	r.host, err = wiring.New(wiring.Options{
		Log: o.Log, RunDir: o.RunDir, StateDir: o.StateDir, SysctlDir: o.SysctlDir, Marks: marks, ChecksDir: o.ChecksDir,
		OnChange: r.askForReport,
	})
	if err != nil {
		return nil, err
	}
	r.node = node.New(node.Config{
		Log: o.Log, Name: o.Node, Mode: translate.Cluster, Marks: marks, APIServers: apiAddresses(cfg),
		Network: r.host.Network, Agent: r.host.Agent,
	})
	return r, nil
}

func apiConfig(o Options) (*rest.Config, error) {
	if o.Config != nil {
		return o.Config, nil
	}
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("find the API server: run in a pod with a service account, or set KUBECONFIG: %w", err)
	}
	return cfg, nil
}

// apiAddresses returns the API server's address if it is given as one.
func apiAddresses(cfg *rest.Config) []netip.Addr {
	u, err := url.Parse(cfg.Host)
	if err != nil {
		return nil
	}
	addr, err := netip.ParseAddr(u.Hostname())
	if err != nil {
		return nil
	}
	return []netip.Addr{addr}
}

// restore starts from what is on disk, before the API server is asked for anything.
func (r *runner) restore() {
	memory, err := r.node.Restore()
	switch {
	case errors.Is(err, dataplane.ErrNoState):
		r.log.Info("nothing to start from, the host stays as it is until the API server answers", "cause", err.Error())
	case err != nil:
		r.log.Error(err, "nothing to start from, the host stays as it is until the API server answers")
	default:
		r.before = accepted{balancers: memory.Balancers, origin: memory.Origin}
		r.log.Info("started from the saved state", "balancers", len(memory.Balancers))
	}
}

// serveAPI follows the API server until ctx ends; without one it keeps trying.
func (r *runner) serveAPI(ctx context.Context) {
	for ctx.Err() == nil {
		err := r.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		r.log.Error(err, "the API server cannot be followed, the host goes on as it is")
		select {
		case <-ctx.Done():
		case <-time.After(5 * time.Second):
		}
	}
}

// newClient makes a client that reads directly, for what is not watched.
func newClient(cfg *rest.Config) (client.Client, error) {
	scheme, err := controllers.Scheme()
	if err != nil {
		return nil, err
	}
	return client.New(cfg, client.Options{Scheme: scheme, FieldOwner: "truepacs-agent"})
}

// askForReport wakes the reporter.
func (r *runner) askForReport() {
	select {
	case r.report <- struct{}{}:
	default:
	}
}

// heartbeat is what the probe sees: standing by counts as ready, so that a surge goes on.
func (r *runner) heartbeat() (ready bool, state string) {
	if !r.active.Load() {
		return true, "standby"
	}
	return true, "active"
}
