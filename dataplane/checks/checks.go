// Package checks runs the health checks of a model.Node or model.Proxy: it speaks the model on
// one side and dataplane/health on the other, for agent and proxy alike.
package checks

import (
	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/health"
	"github.com/truepacs/balancer/dataplane/health/agentcheck"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/weights"
)

// Checks checks the targets it was last given. Make it with New.
type Checks struct{ monitor *health.Monitor }

// Option adds what not every host has.
type Option func(*health.Config)

// Programs makes checks of type External run programs by run (dataplane/health/external). Without
// it they report that they are off.
func Programs(run health.RunProgram) Option {
	return func(c *health.Config) { c.RunProgram = run }
}

// Direct makes checks of virtual IP addresses connect by dial (dataplane/health/direct). Without it
// they report a fault of this host.
func Direct(dial health.DialVia) Option {
	return func(c *health.Config) { c.DialVia = dial }
}

// New starts without targets. onChange is told each verdict that changes, also by what an agent on
// the server asks for, one at a time.
func New(log logr.Logger, onChange func(key string, v model.Verdict), options ...Option) *Checks {
	cfg := health.Config{
		Log:      log,
		OnChange: func(key string, v health.Verdict) { onChange(key, verdict(v)) },
	}
	for _, o := range options {
		o(&cfg)
	}
	return &Checks{monitor: health.NewMonitor(cfg)}
}

// Set replaces the whole set of targets. healthy names the new ones that count as healthy until
// their checks say otherwise.
func (c *Checks) Set(all []model.Target, healthy map[string]bool) {
	targets := make([]health.Target, 0, len(all))
	for _, t := range all {
		initial := health.InitiallyUnknown
		if healthy[t.Key] {
			initial = health.InitiallyHealthy
		}
		targets = append(targets, target(t, initial))
	}
	c.monitor.Set(targets)
}

// Verdicts returns the verdict on every target by key.
func (c *Checks) Verdicts() map[string]model.Verdict {
	out := map[string]model.Verdict{}
	for key, v := range c.monitor.Verdicts() {
		out[key] = verdict(v)
	}
	return out
}

// Signals returns health and what agents on the servers ask for, by key of the target.
func (c *Checks) Signals() map[string]weights.Signal {
	out := map[string]weights.Signal{}
	for key, v := range c.monitor.Verdicts() {
		out[key] = signal(v)
	}
	return out
}

func signal(v health.Verdict) weights.Signal {
	return weights.Signal{
		Healthy: v.Healthy, Weighted: v.Agent.Weighted, Percent: v.Agent.Percent,
		Drain: v.Agent.Admin == agentcheck.Drain || v.Agent.Admin == agentcheck.Maintenance,
	}
}

// Close stops checking.
func (c *Checks) Close() { c.monitor.Close() }

func target(t model.Target, initial health.Initial) health.Target {
	out := health.Target{Key: t.Key, Address: t.Address, Initial: initial}
	for _, c := range t.Checks {
		out.Checks = append(out.Checks, check(c))
	}
	return out
}

func check(c model.Check) health.Check {
	out := health.Check{
		Type: health.Type(c.Type), Port: c.Port,
		Period: c.Period, FastPeriod: c.FastPeriod, Timeout: c.Timeout, Rise: c.Rise, Fall: c.Fall,
	}
	if c.HTTP != nil {
		out.HTTP = health.HTTPCheck{
			Path: c.HTTP.Path, Host: c.HTTP.Host,
			ExpectedStatuses: c.HTTP.ExpectedStatuses, ExpectedBody: c.HTTP.ExpectedBody,
		}
	}
	if c.DICOM != nil {
		out.DICOM = health.DICOMCheck{CalledAETitle: c.DICOM.CalledAETitle, CallingAETitle: c.DICOM.CallingAETitle}
	}
	if c.Agent != nil {
		out.Agent = health.AgentCheck{Send: c.Agent.Send}
	}
	if c.External != nil {
		out.External = health.ExternalCheck{Program: c.External.Name}
	}
	if c.Via == model.ViaVirtualIP {
		out.Via = c.VirtualIP
	}
	return out
}

func verdict(v health.Verdict) model.Verdict {
	return model.Verdict{
		Known: v.Known, Healthy: v.Healthy, Reason: string(v.Reason), Message: v.Message, Since: v.Since,
	}
}
