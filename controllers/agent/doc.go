// Package agent is the agent of a cluster node: it reads balancers, Secrets, nodes and the
// EndpointSlices of the Services that balancers name from the API server, hands them to
// internal/node, and writes the node's TruePACSNode, its reports and its Lease. It does I/O only;
// what a vanished balancer means is decided in accept.go, purely.
//
// The agent starts and goes on without an API server.
package agent
