// Package liveness says until when an agent counts as alive, from the Lease it renews.
//
// The clocks of nodes differ, so a Lease's own time is believed only until the Lease has been
// seen to change; from then on the time of that change on the operator's clock counts, as in
// leader election.
//
// It may import the standard library and k8s.io/api.
package liveness

import (
	"strings"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
)

// LeasePrefix starts the name of an agent's Lease; the node's name follows. The Lease is in the
// operator's namespace.
const LeasePrefix = "truepacs-node-"

// defaultDuration is how long a Lease without leaseDurationSeconds is valid.
const defaultDuration = 15 * time.Second

// Node is the node that a Lease belongs to; false: it is no agent's Lease.
func Node(lease *coordinationv1.Lease) (string, bool) {
	node, ok := strings.CutPrefix(lease.Name, LeasePrefix)
	return node, ok && node != ""
}

// Book remembers when each Lease was last seen to change. The zero value is ready to use, from
// several goroutines.
type Book struct {
	mu      sync.Mutex
	entries map[string]entry
}

type entry struct {
	renewed time.Time
	until   time.Time
}

// Observe notes a Lease as it is at now and returns until when its agent counts as alive. It may
// be called any number of times with the same Lease.
func (b *Book) Observe(lease *coordinationv1.Lease, now time.Time) time.Time {
	renewed, duration := read(lease)
	b.mu.Lock()
	defer b.mu.Unlock()
	known, seen := b.entries[lease.Name]
	if seen && known.renewed.Equal(renewed) {
		return known.until
	}
	until := now.Add(duration)
	if claimed := renewed.Add(duration); !seen && claimed.Before(until) {
		until = claimed
	}
	if b.entries == nil {
		b.entries = map[string]entry{}
	}
	b.entries[lease.Name] = entry{renewed: renewed, until: until}
	return until
}

// Until is what Observe last returned for a node's Lease; false: none was observed.
func (b *Book) Until(node string) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	e, ok := b.entries[LeasePrefix+node]
	return e.until, ok
}

// Forget drops the Lease of a node, because it was deleted.
func (b *Book) Forget(node string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.entries, LeasePrefix+node)
}

// read takes a Lease that was given up (no holder) as one that ran out.
func read(lease *coordinationv1.Lease) (renewed time.Time, duration time.Duration) {
	duration = defaultDuration
	if s := lease.Spec.LeaseDurationSeconds; s != nil && *s > 0 {
		duration = time.Duration(*s) * time.Second
	}
	if t := lease.Spec.RenewTime; t != nil {
		renewed = t.Time
	}
	if h := lease.Spec.HolderIdentity; h != nil && *h == "" {
		duration = 0
	}
	return renewed, duration
}
