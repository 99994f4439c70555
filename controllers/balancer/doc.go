// Package balancer keeps the status of every TruePACSBalancer: it gathers the reports, Leases and
// nodes that belong to one, lets internal/conditions fold them, and writes the result when it
// differs. It never writes a spec and never reads a Secret.
//
// It may import api/v1alpha1, internal/apply, internal/conditions, controllers/liveness,
// controller-runtime and client-go.
package balancer
