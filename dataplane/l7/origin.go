package l7

import (
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/relay"
)

// caller is who came on a connection.
type caller struct {
	addr   netip.Addr
	origin *origin // as a PROXY protocol header told it; nil: as the socket knows it
}

// origin is a client's connection as servers are told of it by the PROXY protocol, with the connections to them that
// wait for its next request: a server takes all that comes over such a connection for that client's. Few client
// connections have one, the others a nil.
type origin struct {
	from, to netip.AddrPort // the client, and what it connected to
	unused   []*upstream
}

// newOrigin returns an origin that nothing waits for.
func (w *worker) newOrigin(from, to netip.AddrPort) *origin {
	o := reuse(&w.spareOrigins)
	o.from, o.to = from, to
	return o
}

// forget ends an origin, which may be nil, with the connections that nobody else may use.
func (w *worker) forget(o *origin) {
	if o == nil {
		return
	}
	for len(o.unused) > 0 {
		o.unused[len(o.unused)-1].discard()
	}
	spare(&w.spareOrigins, o)
}

// find returns the connection to an endpoint that was used last; nil: none waits.
func (o *origin) find(end *endpoint) *upstream {
	for _, up := range slices.Backward(o.unused) {
		if up.end == end {
			return up
		}
	}
	return nil
}

// keep and drop keep account of a connection that begins to wait, and of one that waits no more.
func (o *origin) keep(up *upstream) { o.unused = append(o.unused, up) }
func (o *origin) drop(up *upstream) {
	if i := slices.Index(o.unused, up); i >= 0 {
		o.unused = slices.Delete(o.unused, i, i+1)
	}
}

// whence is the origin that an endpoint's server is told; nil: it is told none.
func (c *conn) whence(end *endpoint) *origin {
	if end.preface == 0 {
		return nil
	}
	if c.origin == nil {
		c.origin = c.w.newOrigin(c.stream.Ends())
	}
	return c.origin
}

// preface is the header for a server; it lasts until the next one is made.
func (w *worker) preface(end *endpoint, from, to netip.AddrPort) []byte {
	return end.preface.Append(w.header[:0], from, to)
}

// introduce sends the header, if the server is to have one, over the connection that was just made.
func (s *seat) introduce() error {
	o := s.client.conn.whence(s.end)
	if o == nil {
		return nil
	}
	s.up.origin = o
	return s.up.stream.Preface(s.client.w.preface(s.end, o.from, o.to))
}

// Preface implements relay.Owner.
func (p *pair) Preface(joined *relay.Pair) []byte {
	switch {
	case p.end.preface == 0:
		return nil
	case p.origin == nil:
		from, to := joined.Client()
		return p.w.preface(p.end, from, to)
	}
	return p.w.preface(p.end, p.origin.from, p.origin.to)
}
