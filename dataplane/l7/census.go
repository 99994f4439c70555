package l7

import (
	"sync"
	"sync/atomic"
)

// census counts open client connections.
type census struct {
	n       atomic.Int64
	mu      sync.Mutex
	waiting []chan struct{}
}

func (c *census) enter() { c.n.Add(1) }

func (c *census) leave() {
	if c.n.Add(-1) > 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, ch := range c.waiting {
		close(ch)
	}
	c.waiting = nil
}

// none returns a channel that is closed once no connection is open.
func (c *census) none() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan struct{})
	if c.n.Load() == 0 {
		close(ch)
		return ch
	}
	c.waiting = append(c.waiting, ch)
	return ch
}
