// Package host is `truepacs run`: a plain Linux host whose balancers and Secrets are files. It
// reads them again when they change, keeps a proxy process running, and answers the
// administrator's commands on a unix socket.
//
// It may import internal/conditions, internal/inspect, internal/manifest, internal/metrics, internal/node, internal/translate and
// internal/wiring.
package host
