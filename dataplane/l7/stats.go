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

type listenerCounters struct {
	current, total, requests, errors, handshakes, bytesIn, bytesOut atomic.Int64
}

// Stats returns the counters of what is configured now.
func (e *Engine) Stats() Stats {
	e.mu.Lock()
	defer e.mu.Unlock()
	var st Stats
	for name, l := range e.listeners {
		c := &l.stats
		st.Listeners = append(st.Listeners, ListenerStats{
			Name: name, Current: c.current.Load(), Total: c.total.Load(), Requests: c.requests.Load(),
			Errors: c.errors.Load(), Handshakes: c.handshakes.Load(), BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(),
		})
	}
	unused := map[*server]int64{}
	for key, end := range e.state.endpoints {
		unused[key.server] += int64(end.idle.len())
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

func (m member) stats(unused int64) ServerStats {
	s := m.server
	return ServerStats{
		Pool: s.key.Pool, Server: s.key.Server, Address: s.addr, Healthy: s.healthy.Load(), Weight: m.weight,
		Current: s.current.Load(), Total: s.dialled.Load(), Idle: unused,
		Requests: s.requests.Load(), Errors: s.errors.Load(),
	}
}
