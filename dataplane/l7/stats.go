package l7

import (
	"cmp"
	"net/netip"
	"slices"
	"sync/atomic"
)

// Stats are the counters of an engine at one moment. Counters only grow while their listener or
// server stays configured.
type Stats struct {
	// Listeners are sorted by name.
	Listeners []ListenerStats
	// Servers are sorted by pool and name.
	Servers []ServerStats
	// LogLinesDropped counts lines of the access log that were given up because it was written too slowly.
	LogLinesDropped int64
}

// ListenerStats are the counters of one listener.
type ListenerStats struct {
	Name string
	// Current and Total count client connections.
	Current, Total int64
	// Requests counts HTTP requests, refused ones too.
	Requests int64
	// Errors counts requests that the proxy itself answered with an error, and those cut short.
	Errors int64
	// Handshakes counts TLS handshakes that failed.
	Handshakes int64
	// Greetings counts connections that were closed because their PROXY protocol header was missing or wrong.
	Greetings int64
	// BytesIn and BytesOut count content from and to clients, in bytes: bodies of HTTP, and all
	// of TCP and upgraded connections.
	BytesIn, BytesOut int64
}

// ServerStats are the counters of one server.
type ServerStats struct {
	Pool, Server string
	Address      netip.AddrPort
	Healthy      bool
	Weight       int
	// Current counts requests and TCP connections in progress; Total, connections opened.
	Current, Total int64
	// Idle counts unused connections that are kept open.
	Idle int64
	// Requests counts HTTP requests sent.
	Requests int64
	// Errors counts failures to connect, to answer and to answer in full.
	Errors int64
}

// shards is over how many cells a counter is spread; loops beyond it share them.
const shards = 8

// listenerCounters are what one shard has counted. They fill a cache line.
type listenerCounters struct {
	current, total, requests, errors, handshakes, greetings, bytesIn, bytesOut atomic.Int64
}

// Stats returns the counters of what is configured now.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	st := Stats{LogLinesDropped: e.log.lost()}
	for _, l := range e.listeners {
		st.Listeners = append(st.Listeners, l.stats())
	}
	unused := map[*server]int64{}
	for key, end := range e.state.endpoints {
		for i := range end.idle {
			unused[key.server] += end.idle[i].count.Load()
		}
	}
	for _, p := range e.state.pools {
		for _, m := range p.members {
			st.Servers = append(st.Servers, m.stats(unused[m.server]))
		}
	}
	slices.SortFunc(st.Listeners, func(a, b ListenerStats) int { return cmp.Compare(a.Name, b.Name) })
	slices.SortFunc(st.Servers, func(a, b ServerStats) int {
		return cmp.Or(cmp.Compare(a.Pool, b.Pool), cmp.Compare(a.Server, b.Server))
	})
	return st
}

// Connections is how many client connections are open.
func (e *Engine) Connections() int64 { return e.open.n.Load() }

func (l *listener) stats() ListenerStats {
	st := ListenerStats{Name: l.name}
	for i := range l.cells {
		c := &l.cells[i]
		st.Current += c.current.Load()
		st.Total += c.total.Load()
		st.Requests += c.requests.Load()
		st.Errors += c.errors.Load()
		st.Handshakes += c.handshakes.Load()
		st.Greetings += c.greetings.Load()
		st.BytesIn += c.bytesIn.Load()
		st.BytesOut += c.bytesOut.Load()
	}
	return st
}

func (m member) stats(unused int64) ServerStats {
	s := m.server
	st := ServerStats{
		Pool: s.key.Pool, Server: s.key.Server, Address: s.addr, Healthy: s.healthy.Load(), Weight: m.weight,
		Current: s.current.Load(), Idle: unused,
	}
	for i := range s.cells {
		c := &s.cells[i]
		st.Total += c.dialled.Load()
		st.Requests += c.requests.Load()
		st.Errors += c.errors.Load()
	}
	return st
}
