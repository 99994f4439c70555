// Package wiring joins the real drivers to an agent and runs it as the only one of its host. It
// may import dataplane/..., internal/inspect, internal/node, internal/translate and internal/turns.
package wiring
