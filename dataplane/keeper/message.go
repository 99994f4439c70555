package keeper

import (
	"reflect"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// Version is the version of the protocol. Both sides ignore fields they do not know and accept
// the versions one before and one after their own.
const Version = 1

// kind says what a message is.
type kind string

const (
	kindHello   kind = "hello"   // proxy: who it is; its sockets came before
	kindSockets kind = "sockets" // both: listening sockets are attached
	kindConfig  kind = "config"  // agent: the configuration to run
	kindDrain   kind = "drain"   // agent: a newer proxy took over
	kindStatus  kind = "status"  // proxy: what it runs and sees
	kindTickets kind = "tickets" // both: the secrets of TLS session tickets, so that they outlive a proxy; version 0.1 ignores it
	kindAlive   kind = "alive"   // proxy: the same as in its last status but for Connections; agents of version 0.1 ignore it
)

// message is one frame. The member that belongs to Kind is set.
type message struct {
	Kind    kind                 `json:"kind"`
	Hello   *hello               `json:"hello,omitempty"`
	Sockets int                  `json:"sockets,omitempty"` // how many descriptors are attached
	Config  *model.Proxy         `json:"config,omitempty"`
	Status  *Status              `json:"status,omitempty"`
	Tickets []model.TicketSecret `json:"tickets,omitempty"`
}

type hello struct {
	Version      int       `json:"version"`
	ProxyVersion string    `json:"proxyVersion"`
	Started      time.Time `json:"started"`
	PID          int       `json:"pid"`
}

// Status is what a proxy runs and sees. It comes every second; what is worth acting on is what
// differs.
type Status struct {
	// Generation is the Proxy.Generation that the proxy runs.
	Generation uint64 `json:"generation"`
	// Refused says why the newest configuration was refused; empty: it was not.
	Refused string `json:"refused,omitempty"`
	// Verdicts are the proxy's health verdicts by target key.
	Verdicts map[string]model.Verdict `json:"verdicts,omitempty"`
	// Draining says that the proxy accepts no new connections any more.
	Draining bool `json:"draining,omitempty"`
	// Connections is the number of open client connections.
	Connections int64 `json:"connections"`
}

// differs tells whether a report says something else than the one before; numbers that move with
// traffic are left out.
func (s Status) differs(before Status) bool {
	s.Connections, before.Connections = 0, 0
	return !reflect.DeepEqual(s, before)
}
