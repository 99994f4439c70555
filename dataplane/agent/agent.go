package agent

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/model"
)

// Config configures an Agent.
type Config struct {
	// Log takes what an engineer needs.
	Log logr.Logger
	// Store keeps the last Node.
	Store *Store
	// Drivers are what the agent acts through.
	Drivers Drivers
	// Resync is the time between two looks at the kernel while nothing changes. Absent: 10 s.
	Resync time.Duration
	// SurveyEvery is the time between two surveys. Absent: 5 s.
	SurveyEvery time.Duration
	// Watcher tells of what others change; nil: only Resync finds it.
	Watcher Watcher
	// OnChange is called when Observed differs from what it was; it must not block.
	OnChange func()
}

// Agent makes one host do what a model.Node says.
type Agent struct {
	cfg  Config
	wake chan struct{}

	mu       sync.Mutex
	desired  *desired // nil: not known yet, nothing is touched
	observed Observed
	findings []model.Finding
	saved    Saved
	source   json.RawMessage // of the last Node
	starts   drain.Starts    // as saved
	restored drain.Starts    // not yet taken over

	// Of pass only:
	adopted bool // the kernel's own verdicts were taken over
	weigher weigher
	again   *time.Timer // wakes when the weights change by themselves
	leaver  leaver
}

// desired is a Node to be carried out.
type desired struct {
	node     model.Node
	revision uint64
}

// Observed is what the last pass found.
type Observed struct {
	// Revision is the revision of the Node that was carried out; 0: none yet.
	Revision uint64
	// Node is that Node.
	Node model.Node
	// Refused are the items that could not be programmed, by key.
	Refused map[string]*model.ItemError
	// Failure is what else went wrong in the pass, nil: nothing.
	Failure error
	// Verdicts are the health verdicts of layer 4 and layer 7 targets.
	Verdicts map[string]model.Verdict
	// Proxy is the state of the layer 7 proxy.
	Proxy ProxyState
	// Leaving are the servers in state Drain or Maintenance.
	Leaving map[drain.Key]drain.Status
	// Findings are what the last survey of host and segment found.
	Findings []model.Finding
}

// New makes an Agent; Run starts it.
func New(cfg Config) *Agent {
	if cfg.Resync <= 0 {
		cfg.Resync = 10 * time.Second
	}
	if cfg.SurveyEvery <= 0 {
		cfg.SurveyEvery = 5 * time.Second
	}
	if cfg.OnChange == nil {
		cfg.OnChange = func() {}
	}
	return &Agent{cfg: cfg, wake: make(chan struct{}, 1)}
}

// Restore starts from the saved Node, before any other source is there. It returns what
// was saved, with the private keys that are still there. ErrNoState: nothing is touched until
// SetDesired.
func (a *Agent) Restore() (Saved, error) {
	saved, err := a.cfg.Store.Load()
	if err != nil {
		return Saved{}, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.desired = &desired{node: saved.Node, revision: 1}
	a.remember(saved.Source, saved.Leaving)
	a.Wake()
	return saved, nil
}

// SetDesired replaces the Node and returns its revision; the same Node keeps its revision.
// source is saved with it and comes back from Restore. A state that cannot be saved is an
// error, but the Node is carried out.
func (a *Agent) SetDesired(node model.Node, source []byte) (revision uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.desired == nil:
		a.desired = &desired{node: node, revision: 1}
	case !reflect.DeepEqual(a.desired.node, node):
		a.desired = &desired{node: node, revision: a.desired.revision + 1}
	}
	a.Wake()
	a.source = source
	return a.desired.revision, a.save(Saved{Node: node, Source: source, Leaving: a.starts})
}

// save writes the state if it differs from what was last written.
func (a *Agent) save(next Saved) error {
	if reflect.DeepEqual(a.saved, next) {
		return nil
	}
	if err := a.cfg.Store.Save(next); err != nil {
		return err
	}
	a.saved = next
	return nil
}

// Wake asks for a pass soon. Drivers and checks call it when something changed.
func (a *Agent) Wake() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Observed returns what the last pass found.
func (a *Agent) Observed() Observed {
	a.mu.Lock()
	defer a.mu.Unlock()
	observed := a.observed
	observed.Findings = a.findings
	return observed
}

// Run carries out the desired Node until ctx ends. What is programmed stays.
func (a *Agent) Run(ctx context.Context) {
	defer a.cfg.Drivers.Checker.Close()
	var beside sync.WaitGroup
	defer beside.Wait()
	if a.cfg.Drivers.Surveyor != nil {
		beside.Go(func() { a.survey(ctx) })
	}
	if a.cfg.Watcher != nil {
		beside.Go(func() { a.watch(ctx) })
	}
	resync := time.NewTicker(a.cfg.Resync)
	defer resync.Stop()
	defer a.leaver.start()()
	defer func() {
		if a.again != nil {
			a.again.Stop()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		case <-resync.C:
		case <-a.leaver.due():
			if !a.recount(ctx) {
				continue
			}
		}
		a.pass(ctx)
	}
}

// pass carries out the desired Node once.
func (a *Agent) pass(ctx context.Context) {
	a.mu.Lock()
	want := a.desired
	a.mu.Unlock()
	if want == nil {
		return
	}
	next := a.apply(ctx, want)
	if ctx.Err() != nil {
		return
	}
	a.mu.Lock()
	news := !sameObserved(a.observed, next)
	a.observed = next
	a.mu.Unlock()
	if news {
		a.cfg.OnChange()
	}
}

// apply hands the desired sets to the drivers: a real server is prepared, and the kernel knows
// a service, before clients can reach its address.
func (a *Agent) apply(ctx context.Context, want *desired) Observed {
	d, node := a.cfg.Drivers, want.node
	verdicts, err := a.check(ctx, node)
	failures := []error{err, d.RealServer.Set(ctx, node.RealServer)}
	var leaving drain.Result
	if err == nil {
		leaving, err = a.leave(ctx, a.weigh(node.Services, verdicts))
		failures = append(failures, err, d.VirtualServer.Set(ctx, leaving.Services, node.Timeouts))
	} else { // addresses are held all the same, and nothing undeclared may answer there
		leaving.Services = node.Services
	}
	failures = append(failures, d.PacketFilter.Set(ctx, rules(node, leaving)))
	held := d.Addresses.Set(ctx, node.VirtualIPs)
	failures = append(failures, held, d.Proxy.Set(ctx, node.Proxy), a.announce(ctx, node.VirtualIPs, held))
	observed := Observed{Revision: want.revision, Node: node, Proxy: d.Proxy.State(), Leaving: leaving.Statuses}
	observed.Refused, observed.Failure = model.ItemErrors(errors.Join(failures...))
	observed.Verdicts = merge(verdicts, observed.Proxy.Verdicts)
	return observed
}

// announce announces the addresses that this host holds: held is what the driver of addresses said.
// While it could not look, announcements go on as they are.
func (a *Agent) announce(ctx context.Context, all []model.VirtualIP, held error) error {
	refused, unknown := model.ItemErrors(held)
	if looked := unknown == nil; !looked {
		return nil
	}
	holds := make([]model.VirtualIP, 0, len(all))
	for _, vip := range all {
		if refused[vip.Key] == nil {
			holds = append(holds, vip)
		}
	}
	return a.cfg.Drivers.Announcer.Set(ctx, holds)
}

// weigh decides the weights and sees to being called when they change by themselves.
func (a *Agent) weigh(services []model.VirtualService, verdicts map[string]model.Verdict) []model.VirtualService {
	now := time.Now()
	weighed, next := a.weigher.weigh(services, signalsOf(verdicts, a.cfg.Drivers.Checker), now)
	if a.again != nil {
		a.again.Stop()
	}
	if !next.IsZero() {
		a.again = time.AfterFunc(next.Sub(now), a.Wake)
	}
	return weighed
}

// check passes the targets to the checker. The first time, servers that the kernel treats as
// healthy start healthy, so that a restart changes nothing; while the kernel cannot be read,
// layer 4 stays as it is.
func (a *Agent) check(ctx context.Context, node model.Node) (map[string]model.Verdict, error) {
	var healthy map[string]bool
	if !a.adopted && len(node.Services) > 0 {
		kernel, err := a.cfg.Drivers.VirtualServer.Weights(ctx)
		if err != nil {
			return nil, ofEach(node.Services, err)
		}
		healthy = adopted(node.Services, kernel)
	}
	a.adopted = true
	a.cfg.Drivers.Checker.Set(node.Targets, healthy)
	return a.cfg.Drivers.Checker.Verdicts(), nil
}

// merge joins the agent's and the proxy's verdicts; the agent's win.
func merge(agent, proxy map[string]model.Verdict) map[string]model.Verdict {
	all := make(map[string]model.Verdict, len(agent)+len(proxy))
	maps.Copy(all, proxy)
	maps.Copy(all, agent)
	return all
}
