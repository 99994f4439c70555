package l7

import (
	"sync"
	"time"

	"github.com/truepacs/balancer/dataplane/http1"
)

// upstream is a connection to a server.
type upstream struct {
	stream
	end    *endpoint
	resp   http1.Response
	since  time.Time // when it became idle
	reused bool
}

// idle are the unused connections to an endpoint, the one used last on top: the others grow old
// and are closed before the server closes them.
type idle struct {
	mu      sync.Mutex
	conns   []*upstream
	timer   *time.Timer
	limit   time.Duration
	retired bool
}

// take returns a connection that still lives, nil if there is none.
func (p *idle) take() *upstream {
	for {
		up := p.pop()
		if up == nil || up.alive() {
			return up
		}
		_ = up.conn.Close()
	}
}

func (p *idle) pop() *upstream {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.conns)
	if n == 0 || time.Since(p.conns[n-1].since) >= p.limit {
		return nil
	}
	up := p.conns[n-1]
	p.conns[n-1] = nil
	p.conns = p.conns[:n-1]
	up.reused = true
	return up
}

// put keeps a connection for limit, or closes it if its server is gone from the configuration.
func (p *idle) put(up *upstream, limit time.Duration) {
	up.release()
	p.mu.Lock()
	if p.retired {
		p.mu.Unlock()
		_ = up.conn.Close()
		return
	}
	up.since = time.Now()
	p.limit = limit
	p.conns = append(p.conns, up)
	if p.timer == nil {
		p.timer = time.AfterFunc(limit, p.expire)
	}
	p.mu.Unlock()
}

// expire closes what was idle for too long and comes back for the rest.
func (p *idle) expire() {
	p.mu.Lock()
	old := 0
	for old < len(p.conns) && time.Since(p.conns[old].since) >= p.limit {
		old++
	}
	expired := append([]*upstream(nil), p.conns[:old]...)
	n := copy(p.conns, p.conns[old:])
	clear(p.conns[n:])
	p.conns = p.conns[:n]
	p.timer = nil
	if n > 0 {
		p.timer = time.AfterFunc(p.limit-time.Since(p.conns[0].since), p.expire)
	}
	p.mu.Unlock()
	closeAll(expired)
}

// retire closes all and keeps none from now on.
func (p *idle) retire() {
	p.mu.Lock()
	conns := p.conns
	p.conns, p.retired = nil, true
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	p.mu.Unlock()
	closeAll(conns)
}

func (p *idle) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.conns)
}

func closeAll(conns []*upstream) {
	for _, up := range conns {
		_ = up.conn.Close()
	}
}
