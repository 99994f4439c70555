package l7

import "sync"

// session is an open client connection.
type session interface {
	base() *client
	// run serves it to its end.
	run()
	// hurry ends it soon if it is idle.
	hurry()
	// cut ends it now.
	cut()
}

// connections are the open client connections. Its lock is taken when one opens or ends, not
// for a request.
type connections struct {
	mu      sync.Mutex
	all     map[session]struct{}
	waiting []chan struct{}
	closed  bool // cut was called: no more are let in
}

// add lets a connection in; false if it must end.
func (c *connections) add(s session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	if c.all == nil {
		c.all = map[session]struct{}{}
	}
	c.all[s] = struct{}{}
	return true
}

func (c *connections) remove(s session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.all, s)
	if len(c.all) > 0 {
		return
	}
	for _, ch := range c.waiting {
		close(ch)
	}
	c.waiting = nil
}

// none returns a channel that is closed once no connection is open.
func (c *connections) none() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	ch := make(chan struct{})
	if len(c.all) == 0 {
		close(ch)
		return ch
	}
	c.waiting = append(c.waiting, ch)
	return ch
}

func (c *connections) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.all)
}

func (c *connections) hurry() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.all {
		s.hurry()
	}
}

func (c *connections) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for s := range c.all {
		s.cut()
	}
}
