package wiring

import (
	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/dataplane/checks"
	"github.com/truepacs/balancer/dataplane/health/direct"
	"github.com/truepacs/balancer/dataplane/health/external"
	"github.com/truepacs/balancer/dataplane/model"
)

// checker is the checks with all that this host has for them: the direct-routing path, and the
// administrator's programs if there is a directory of them.
type checker struct {
	*checks.Checks
	direct *direct.Dialer
	log    logr.Logger
}

var _ agent.Checker = (*checker)(nil)

func newChecker(o Options, wake func()) (*checker, error) {
	dialer, err := direct.New(direct.Config{})
	if err != nil {
		return nil, err
	}
	options := []checks.Option{checks.Direct(dialer.DialVia)}
	if o.ChecksDir != "" {
		// In a cluster the agent has no right to become another user: its programs then run as
		// root without any capability.
		runner := external.New(external.Config{Dir: o.ChecksDir, KeepUser: true})
		options = append(options, checks.Programs(runner.Run))
	}
	all := checks.New(o.Log, func(string, model.Verdict) { wake() }, options...)
	return &checker{Checks: all, direct: dialer, log: o.Log}, nil
}

// Set implements agent.Checker. Paths that no check takes any more are given back.
func (c *checker) Set(all []model.Target, healthy map[string]bool) {
	c.Checks.Set(all, healthy)
	if err := c.direct.Keep(paths(all)); err != nil {
		c.log.Error(err, "Routes or rules of checks through virtual IPs could not be removed; they do no harm")
	}
}

// paths are the ways that targets are checked on.
func paths(all []model.Target) []direct.Path {
	var out []direct.Path
	for _, t := range all {
		for _, check := range t.Checks {
			if check.Via == model.ViaVirtualIP {
				out = append(out, direct.Path{VIP: check.VirtualIP, Server: t.Address})
			}
		}
	}
	return out
}

// Close implements agent.Checker. Only what the checks themselves had in the kernel goes.
func (c *checker) Close() {
	c.Checks.Close()
	if err := c.direct.Close(); err != nil {
		c.log.Error(err, "Routes and rules of checks through virtual IPs could not be removed; the next start does it")
	}
}
