package health

import (
	"context"
	"sync"
)

// notifier calls OnChange from one goroutine, in the order of the changes, each key at most once in
// the queue: its memory is bounded by the number of targets, and a slow receiver delays no check.
type notifier struct {
	// mu is the Monitor's, so that a verdict and its place in the queue change together.
	mu *sync.Mutex
	// current returns a key's verdict; it is called with mu held.
	current func(key string) (Verdict, bool)
	tell    func(key string, v Verdict)

	queue  []string
	queued map[string]bool
	told   map[string]Verdict
	wake   chan struct{}
}

func newNotifier(mu *sync.Mutex, current func(string) (Verdict, bool), tell func(string, Verdict)) *notifier {
	return &notifier{
		mu: mu, current: current, tell: tell,
		queued: map[string]bool{}, told: map[string]Verdict{}, wake: make(chan struct{}, 1),
	}
}

// changed notes that a key's verdict may not be what was told last. Call it with mu held.
func (n *notifier) changed(key string) {
	if n.tell == nil || n.queued[key] {
		return
	}
	n.queued[key] = true
	n.queue = append(n.queue, key)
	select {
	case n.wake <- struct{}{}:
	default:
	}
}

// forget drops what is known about a key that is gone. Call it with mu held.
func (n *notifier) forget(key string) { delete(n.told, key) }

// run tells until ctx ends.
func (n *notifier) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.wake:
		}
		for key, v, ok := n.take(); ok && ctx.Err() == nil; key, v, ok = n.take() {
			n.tell(key, v)
		}
	}
}

// take returns the next key whose verdict differs from what it was told, false if there is none.
func (n *notifier) take() (string, Verdict, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for len(n.queue) > 0 {
		key := n.queue[0]
		n.queue = n.queue[1:]
		delete(n.queued, key)
		if v, ok := n.current(key); ok && n.told[key] != v {
			n.told[key] = v
			return key, v, true
		}
	}
	return "", Verdict{}, false
}
