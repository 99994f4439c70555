package l7

import (
	"io"
	"net/netip"
	"time"

	"github.com/go-logr/logr"
)

// Config configures an Engine; the zero value works.
type Config struct {
	// Log takes what an engineer needs; absent: nothing is logged.
	Log logr.Logger
	// Source is the address that a connection to a server is made from; the zero value leaves it to the kernel,
	// port 0 leaves the port. It is called on an event loop: it must return at once and not
	// call the Engine. Absent: the kernel's choice.
	Source func(server netip.AddrPort) netip.AddrPort
	// AccessLog gets one line of JSON for each request and TCP connection, several whole lines in one Write, at most
	// 50 ms late; one goroutine calls it. If it is too slow, lines are dropped and counted (Stats.LogLinesDropped):
	// traffic does not wait for a disk or a reader, and Close waits for one second at most. Absent, or io.Discard: no
	// access log. A line holds no query, no header and of the path only words from a fixed list. It says how long
	// all took (microseconds) and reaching a server (connectMicroseconds, -1: none was reached), and how it
	// ended (termination: HAProxy's two letters, configuration manual 8.5).
	AccessLog io.Writer
	// TicketKeyLife is how long a key makes TLS session tickets; it opens them for three times as long after that.
	// Default 12 h.
	TicketKeyLife time.Duration
	// Timeouts are the limits of waiting; absent ones have their defaults.
	Timeouts Timeouts
}

// Timeouts are the limits of waiting. None bounds a whole request: bodies reach gigabytes.
type Timeouts struct {
	// Header is how long a client may take for a TLS handshake, and for a request head once its
	// first byte came (or from the start of the connection). Default 10 s.
	Header time.Duration
	// KeepAlive is how long a client connection may wait for its next request. Default 60 s.
	KeepAlive time.Duration
	// Connect bounds one attempt to reach a server. Default 5 s.
	Connect time.Duration
	// Transfer is how long nothing may move in either direction while a request, an upgraded
	// connection or a TCP connection is open. Default 15 min.
	Transfer time.Duration
	// HalfClosed is the same after one side has ended its direction. Default 30 s.
	HalfClosed time.Duration
	// ServerIdle is how long an unused connection to a server is kept. It must be shorter than
	// the server's own limit, else requests meet connections that are being closed. Default 4 s
	// (common servers close after 5 s).
	ServerIdle time.Duration
	// DrainIdle is how long Drain leaves an idle client connection open for one more request,
	// which is answered with Connection: close. Default 2 s.
	DrainIdle time.Duration
	// Linger is how long a connection closed before its request was read is kept to swallow the
	// rest, so that the client can read the answer (RFC 9112 section 9.6). Default 1 s.
	Linger time.Duration
}

func (t Timeouts) withDefaults() Timeouts {
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&t.Header, 10 * time.Second},
		{&t.KeepAlive, time.Minute},
		{&t.Connect, 5 * time.Second},
		{&t.Transfer, 15 * time.Minute},
		{&t.HalfClosed, 30 * time.Second},
		{&t.ServerIdle, 4 * time.Second},
		{&t.DrainIdle, 2 * time.Second},
		{&t.Linger, time.Second},
	} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	return t
}

func (c Config) withDefaults() Config {
	c.Timeouts = c.Timeouts.withDefaults()
	if c.TicketKeyLife <= 0 {
		c.TicketKeyLife = 12 * time.Hour
	}
	if c.Log.GetSink() == nil {
		c.Log = logr.Discard()
	}
	return c
}
