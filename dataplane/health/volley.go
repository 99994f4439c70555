package health

import (
	"context"
	"sync"
	"time"
)

// volley is one regular probe, and the further ones that are sent after it, together, if the server
// keeps silent: a server that hangs then costs one timeout until it is found down, not one for each
// failure that the threshold asks for. A pass ends all of them.
type volley struct {
	ctx    context.Context
	cancel context.CancelFunc
	probe  func(context.Context) Result

	mu      sync.Mutex
	ended   bool // the first probe has an answer, nothing further is sent
	results []Result
	passed  bool
	wg      sync.WaitGroup
}

// fire makes a probe and, if it has no result after patience, further ones. It returns what they
// found: a single result if one of them is no failure, which speaks for the server.
func fire(ctx context.Context, probe func(context.Context) Result, further int, patience time.Duration) []Result {
	if further <= 0 {
		return []Result{probe(ctx)}
	}
	v := &volley{probe: probe}
	v.ctx, v.cancel = context.WithCancel(ctx)
	defer v.cancel()
	timer := time.AfterFunc(patience, func() { v.reinforce(further) })
	defer timer.Stop()
	v.take(probe(v.ctx), true)
	v.wg.Wait()
	return v.results
}

// reinforce sends the further probes.
func (v *volley) reinforce(further int) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.ended {
		return
	}
	for range further {
		v.wg.Go(func() { v.take(v.probe(v.ctx), false) })
	}
}

// take takes in a result. The first that is no failure stands for all, those of probes that were cut
// short by it are dropped.
func (v *volley) take(r Result, first bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.ended = v.ended || first
	switch {
	case v.passed:
	case r.Grade == Fail:
		v.results = append(v.results, r)
	default:
		v.passed, v.results = true, []Result{r}
		v.cancel()
	}
}

// further is how many probes beyond the regular one are needed to take the server down, and how long
// the regular one may be silent before they are sent: longer for servers that take their time. Only
// servers that are up are asked so; agents and programs are not: the former take no server down by
// silence, the latter cost a process each.
func (p *progress) further() (n int, patience time.Duration) {
	patience = max(p.check.FastPeriod, 2*p.usual)
	if p.state.Status != Healthy || p.check.Type == Agent || p.check.Type == External || patience >= p.check.Timeout {
		return 0, 0
	}
	return p.check.Fall - p.state.Run - 1, patience
}

// learn remembers how long the server takes to answer: the longest lately.
func (p *progress) learn(took time.Duration) {
	const slowly = 8
	p.usual = max(took, p.usual-p.usual/slowly)
}
