// Package node is what a cluster node and a plain host have in common: balancers and Secrets go
// in, translation says what the host must do, the agent does it, reports come out. Where the
// balancers come from is the caller's: controllers/agent or internal/host.
//
// It may import api/v1alpha1, dataplane/agent, dataplane/model, internal/report and
// internal/translate; no Kubernetes client.
package node
