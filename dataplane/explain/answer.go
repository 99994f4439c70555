package explain

import (
	"net/netip"

	"github.com/truepacs/balancer/dataplane/model"
)

// Outcome is what becomes of the client.
type Outcome string

// Outcomes.
const (
	// OutcomeServer: a server is sure to get it.
	OutcomeServer Outcome = "Server"
	// OutcomeOneOf: one of several servers gets it; which cannot be foretold.
	OutcomeOneOf Outcome = "OneOf"
	// OutcomeRefused: no server takes it, and the client is told so at once: at layer 4 by an ICMP
	// error (port unreachable), at layer 7 by an HTTP error or a closed connection.
	OutcomeRefused Outcome = "Refused"
	// OutcomeDropped: nothing answers on this port of the address; the client hears nothing.
	OutcomeDropped Outcome = "Dropped"
	// OutcomeElsewhere: the address is none that this host holds as a director.
	OutcomeElsewhere Outcome = "Elsewhere"
	// OutcomeNotProgrammed: the service is wanted, but the kernel does not have it.
	OutcomeNotProgrammed Outcome = "NotProgrammed"
)

// Decider is what decided.
type Decider string

// Deciders.
const (
	// ByConnection: a connection with these addresses and ports is there.
	ByConnection Decider = "Connection"
	// ByPersistence: the client is remembered.
	ByPersistence Decider = "Persistence"
	// ByScheduler: the scheduling method, or layer 7's algorithm.
	ByScheduler Decider = "Scheduler"
	// ByItself: the client is a real server that accepts the address itself.
	ByItself Decider = "Itself"
)

// Server is a server that an answer names.
type Server struct {
	// Name is its name in its pool.
	Name string `json:"name"`
	// Address is its own address and the port that it gets the client's packets at.
	Address netip.AddrPort `json:"address"`
	// Share is its part of new connections, 0 to 1; absent where it is certain or not known.
	Share float64 `json:"share,omitempty"`
}

// Answer is what a client would get.
type Answer struct {
	Question
	// Outcome is what becomes of it.
	Outcome Outcome `json:"outcome"`
	// Balancer is namespace/name, Service the service's name in it, or @ and the name of a
	// persistence group; empty if none answers.
	Balancer string `json:"balancer,omitempty"`
	Service  string `json:"service,omitempty"`
	// Mode is the service's: L4DR, L4NAT, L4SNAT, L4Tunnel or L7SNAT.
	Mode string `json:"mode,omitempty"`
	// Scheduler is the kernel's name of the scheduling method, or layer 7's algorithm.
	Scheduler string `json:"scheduler,omitempty"`
	// Route is the route of layer 7 that the request takes; "default" for none of them.
	Route string `json:"route,omitempty"`
	// Server is who gets it; nil unless Outcome is Server.
	Server *Server `json:"server,omitempty"`
	// DecidedBy is what decided.
	DecidedBy Decider `json:"decidedBy,omitempty"`
	// OneOf are the servers one of which gets it.
	OneOf []Server `json:"oneOf,omitempty"`
	// Why are the reasons, in sentences.
	Why []string `json:"why"`
}

// modeOf is the mode as balancers write it.
func modeOf(f model.Forwarding) string {
	switch f {
	case model.Tunnel:
		return "L4Tunnel"
	case model.NAT:
		return "L4NAT"
	case model.SNAT:
		return "L4SNAT"
	}
	return "L4DR"
}
