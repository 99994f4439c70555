// Package l7 is the layer 7 proxy: it accepts connections on sockets that it is given, ends TLS,
// chooses a server for each HTTP request or TCP connection and carries the bytes both ways.
//
//	engine := l7.New(l7.Config{Log: log})
//	err := engine.Apply(proxy, map[string]net.Listener{"imaging/radiology/viewer@192.0.2.100:443": socket})
//	engine.SetHealth("imaging/radiology/viewer", "pacs-a", false)
//	err = engine.Drain(ctx)
//	engine.Close()
//
// The engine binds nothing and checks no server: sockets come from the caller of Apply, verdicts
// through SetHealth. It may import model, certs, eventloop, http1, http2, nonblock, proxyproto, relay, stream,
// tlssession, golang.org/x/sys/unix and logr, and nothing that knows Kubernetes.
//
// # Who does what
//
// Configuration: validate.go says what is wrong, compile.go makes immutable snapshots of the rest
// (service.go, server.go, router.go, balance.go, cookie.go, tls.go, tickets.go), engine.go puts them into use.
//
// Traffic: one event loop per core, each with a worker (worker.go), which owns what lives there
// and needs no lock. Connections come from a listener (listener.go). TCP in clear goes to package
// relay (tcp.go); TCP whose TLS ends here is a tlsConn; HTTP is a httpConn, which a h2conn with a
// h2stream for each request takes over when HTTP/2 was agreed on. All of it is state machines:
// whatever is told about either side, run goes on with everything that can go on, until nothing can.
//
// Where a PROXY protocol header is due (greeting.go), it is taken out of the socket before anything else sees the
// connection. Where servers are told of clients by one (origin.go), the connections to them wait for one client alone.
//
// A request passes three parts that know little of each other:
//
//   - the front (httpConn, h2stream) reads the request, brings it into the canonical form
//     (http1.Request) and writes heads for the client;
//   - the exchange (exchange.go, deliver.go) finds the route, takes a seat at a server (seat.go),
//     sends, reads the answer and decides what becomes of both connections;
//   - the back (upstream.go) is a connection to a server: in use, or unused and then watched, for
//     each loop and endpoint its own.
//
// Content travels in a flow (flow.go) from a source to a sink (body.go): one block or one pipe at
// most, and while the sink takes nothing, nothing is read. So a server may answer before it has
// read the request. Where both ends are clear and the framing allows it, splice(2) moves it.
//
// Limits of waiting are one timer for each client connection and each stream (client.go). It is set
// when a phase begins; what moves later is noted, and looked at when the timer runs out.
//
// The snapshot of a listener is read once a request. Between loops requests share counters in
// cache lines of their own and, because the servers are chosen by them, whose turn it is and how
// many requests each server has in progress.
//
// # Paths
//
// Routes compare the path as it came on the wire, byte for byte and by whole elements: /dicom-web
// matches /dicom-web and /dicom-web/x, but neither /dicom-webx nor /dicom%2dweb nor //dicom-web.
// Nothing is decoded or cleaned, since a server might clean in another way. A listener with routes
// refuses paths in which any server could see a . or .. element, also encoded or cut off by a
// backslash or semicolon: with a rewritten prefix they would lead out of it. Routes steer; they
// are no access control.
//
// # Headers
//
// The server gets what the client sent but for the hop-by-hop fields. Via is not added: some
// servers stop compressing when they see it.
package l7
