package eventloop

import (
	"sync"
	"sync/atomic"
	"time"
)

// Group is loops that share the work.
type Group struct {
	config Config
	start  time.Time
	loops  []*Loop
	turns  atomic.Uint32 // which loop the next listener goes to
	close  sync.Once
}

// New starts a group. Close ends it.
func New(config Config) (*Group, error) {
	config, err := config.completed()
	if err != nil {
		return nil, err
	}
	g := &Group{config: config, start: time.Now()}
	for i := range config.Loops {
		l, err := newLoop(g, i)
		if err != nil {
			for _, l := range g.loops {
				l.release()
			}
			return nil, err
		}
		g.loops = append(g.loops, l)
	}
	for _, l := range g.loops {
		go l.run()
	}
	return g, nil
}

// Loops returns the loops, always the same ones in the same order.
func (g *Group) Loops() []*Loop { return g.loops }

// Close has every handler told Closing, closes what they leave open and returns when all loops have ended. It must
// not be called on a loop. Further calls wait as the first.
func (g *Group) Close() {
	g.close.Do(func() {
		for _, l := range g.loops {
			l.Do(func() { l.closing = true })
		}
	})
	for _, l := range g.loops {
		<-l.ended
	}
}
