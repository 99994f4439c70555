package health

import (
	"net/netip"
	"slices"
	"time"
)

// Target is one real server and everything that must work on it.
type Target struct {
	// Key identifies the target across calls of Monitor.Set; unique within one call.
	Key string
	// Address is the server's address, IPv4 or IPv6.
	Address netip.Addr
	// Checks must all pass. A target without checks counts as healthy.
	Checks []Check
	// Initial is what holds for a target that the Monitor has not seen before.
	Initial Initial
}

// Initial is the state that a new target starts in.
type Initial uint8

// Initial states.
const (
	// InitiallyUnknown: down and reported as not known. The first result decides, pass or fail.
	InitiallyUnknown Initial = iota
	// InitiallyHealthy: up, because it was in service before, for example found in the kernel
	// after a restart. It takes Fall failures to go down.
	InitiallyHealthy
	// InitiallyUnhealthy: down and reported as down. The first pass brings it up.
	InitiallyUnhealthy
)

// Type is the protocol of a check.
type Type string

// Check types.
const (
	// TCP opens a connection and closes it. Some servers log each one; storescp without --fork
	// serves nobody else meanwhile. Prefer the protocol's own check.
	TCP Type = "TCP"
	// HTTP sends one HTTP/1.1 request (RFC 9112) and judges status and body.
	HTTP Type = "HTTP"
	// DICOMEcho runs a C-ECHO (PS3.4 annex A, PS3.7 section 9.1.5) through to its status:
	// some servers accept the association and abort only then.
	DICOMEcho Type = "DICOMEcho"
	// Agent asks an agent on the server for its weight and state (HAProxy's agent-check protocol,
	// see dataplane/health/agentcheck). An agent that cannot be asked takes no server down.
	Agent Type = "Agent"
	// External runs a program out of the administrator's directory, see Config.RunProgram.
	External Type = "External"
)

// Check is one thing to try on a target. Zero durations and thresholds mean the defaults.
type Check struct {
	Type Type
	// Port is the TCP port.
	Port uint16
	// Period is the time from the start of one probe to the start of the next.
	Period time.Duration
	// FastPeriod replaces Period while a change is being decided: after the first failure of a
	// healthy target until Fall is reached, after the first pass of an unhealthy one until Rise is.
	// A probe that outlasts it is followed by the next one at once. While a healthy target keeps a
	// probe waiting longer, and twice as long as it took lately, the further probes that Fall asks
	// for are made beside it, together.
	FastPeriod time.Duration
	// Timeout bounds a whole probe: connect, TLS, question and answer.
	Timeout time.Duration
	// Rise is how many passes in a row make an unhealthy target healthy.
	Rise int
	// Fall is how many failures in a row make a healthy target unhealthy.
	Fall int
	// HTTP belongs to type HTTP.
	HTTP HTTPCheck
	// DICOM belongs to type DICOMEcho.
	DICOM DICOMCheck
	// Agent belongs to type Agent.
	Agent AgentCheck
	// External belongs to type External.
	External ExternalCheck
	// Via, if set, is a virtual IP address: the connection is opened to it, and goes to the target
	// the way direct routing sends packets. Not for External.
	Via netip.Addr
}

// Defaults of Check, those of HAProxy (inter 2s, rise 2, fall 3). A server that refuses connections is
// found down within Period plus twice FastPeriod (3 s), one that stays silent within Period plus
// FastPeriod plus Timeout (4.5 s); jitter adds at most 0.1 s.
const (
	DefaultPeriod     = 2 * time.Second
	DefaultFastPeriod = 500 * time.Millisecond
	DefaultTimeout    = 2 * time.Second
	DefaultRise       = 2
	DefaultFall       = 3
)

// HTTPCheck is a request and what its answer must be. Redirects are not followed.
type HTTPCheck struct {
	// Method is GET or HEAD; empty: GET.
	Method string
	// Path is the request target, starting with /, query included; empty: /.
	Path string
	// Host is the Host header, and the server name of TLS; empty: the target's address and port.
	Host string
	// ExpectedStatuses are the statuses that pass; empty: 200 to 399, a redirect included,
	// because a server that sends one is at work.
	ExpectedStatuses []int
	// ExpectedBody is text that must occur in the first 64 KiB of the body; empty: the body is
	// not read.
	ExpectedBody string
	// TLS speaks TLS first. The certificate is not verified: the check asks whether the server
	// works, and sends nothing that is secret.
	TLS bool
}

// DICOMCheck is what a C-ECHO offers. Both titles are required, 1 to 16 characters.
type DICOMCheck struct {
	CalledAETitle  string
	CallingAETitle string
}

// AgentCheck is how an agent is asked.
type AgentCheck struct {
	// Send is sent first, as it is, at most 256 bytes; write the line end that the agent expects.
	// Empty: nothing is sent.
	Send string
}

// ExternalCheck is a program to run.
type ExternalCheck struct {
	// Program is the file's name in the administrator's directory: ^[a-z0-9][a-z0-9._-]{0,62}$.
	Program string
}

// agentThreshold is the default of Rise and Fall for type Agent: an agent's word counts at once.
const agentThreshold = 1

// withDefaults fills in what is zero. FastPeriod never exceeds Period.
func (c Check) withDefaults() Check {
	c.Period = orDefault(c.Period, DefaultPeriod)
	c.FastPeriod = min(orDefault(c.FastPeriod, DefaultFastPeriod), c.Period)
	c.Timeout = orDefault(c.Timeout, DefaultTimeout)
	if c.Type == Agent {
		c.Rise, c.Fall = orDefault(c.Rise, agentThreshold), orDefault(c.Fall, agentThreshold)
	}
	c.Via = c.Via.Unmap()
	c.Rise = orDefault(c.Rise, DefaultRise)
	c.Fall = orDefault(c.Fall, DefaultFall)
	if c.Type == HTTP {
		c.HTTP.Method = orDefault(c.HTTP.Method, "GET")
		c.HTTP.Path = orDefault(c.HTTP.Path, "/")
	}
	return c
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// policy returns how often to probe and when to decide.
func (c Check) policy() Policy {
	return Policy{Rise: c.Rise, Fall: c.Fall, Period: c.Period, FastPeriod: c.FastPeriod}
}

// asksTheSame tells whether two checks put the same question to the server, at whatever pace.
func (c Check) asksTheSame(o Check) bool {
	return c.Type == o.Type && c.Port == o.Port && c.Timeout == o.Timeout && c.DICOM == o.DICOM &&
		c.Agent == o.Agent && c.External == o.External && c.Via == o.Via && c.HTTP.equal(o.HTTP)
}

func (h HTTPCheck) equal(o HTTPCheck) bool {
	return h.Method == o.Method && h.Path == o.Path && h.Host == o.Host && h.TLS == o.TLS &&
		h.ExpectedBody == o.ExpectedBody && slices.Equal(h.ExpectedStatuses, o.ExpectedStatuses)
}

// equal compares everything; the checks must have their defaults.
func (c Check) equal(o Check) bool { return c.asksTheSame(o) && c.policy() == o.policy() }

// normal returns a copy with all defaults filled in that shares no memory with t.
func (t Target) normal() Target {
	t.Address = t.Address.Unmap()
	t.Checks = slices.Clone(t.Checks)
	for i, c := range t.Checks {
		t.Checks[i] = c.withDefaults()
		t.Checks[i].HTTP.ExpectedStatuses = slices.Clone(c.HTTP.ExpectedStatuses)
	}
	return t
}

// sameChecks compares two normal targets; Initial does not count, it is used once.
func (t Target) sameChecks(o Target) bool {
	return t.Address == o.Address && slices.EqualFunc(t.Checks, o.Checks, Check.equal)
}
