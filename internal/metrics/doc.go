// Package metrics shows the figures of a director as Prometheus metrics, at an address of their own.
// Labels are names that the administrator gave, virtual addresses and ports: never a client.
//
// It may import dataplane/certs, internal/inspect and prometheus/client_golang.
package metrics
