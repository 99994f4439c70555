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
// through SetHealth. It may import model, http1, golang.org/x/sys/unix and logr, and nothing that
// knows Kubernetes.
//
// # How a request travels
//
// One goroutine serves a client connection (accept.go, serve.go). It reads a head (package http1),
// finds the route (router.go), takes a server (balance.go, cookie.go) and a connection to it
// (connect.go, idle.go), writes the request (request.go) and relays the response (response.go).
// A body that has not come with its head travels in a second goroutine (upload.go), so that a
// server may answer before it has read it all. Bodies are never held: what was read is written
// before more is read (transfer.go), with splice(2) where both ends are plain sockets.
//
// Configuration is an immutable snapshot behind an atomic pointer for each listener, read once a
// request. No lock is shared between requests but the one of a server's idle connections.
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
