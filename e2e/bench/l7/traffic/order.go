package traffic

import "time"

// Protocol is what is spoken to the front.
type Protocol string

// Protocols.
const (
	TCP  Protocol = "TCP"
	HTTP Protocol = "HTTP"
	// HTTPS is HTTP/1.1 by TLS 1.3, HTTP2 the same with HTTP/2.
	HTTPS Protocol = "HTTPS"
	HTTP2 Protocol = "HTTP2"
	// TLS is a full handshake of TLS 1.3 for each exchange, and then nothing.
	TLS Protocol = "TLS"
)

// Form is how a connection is used.
type Form string

// Forms.
const (
	// Kept connections carry one exchange after the other.
	Kept Form = "Kept"
	// Fresh is a connection for each exchange.
	Fresh Form = "Fresh"
	// Held connections are opened in steps, used once in each step, and then idle.
	Held Form = "Held"
	// Stalled is one connection whose answer is not read on after its first bytes, until told.
	Stalled Form = "Stalled"
)

// Order is what a load does.
type Order struct {
	Protocol Protocol
	Form     Form
	// Address and port of the front.
	Address string
	// Certificate is the PEM file with the one that the front must show.
	Certificate string
	// Connections at once; for Fresh, exchanges at once.
	Connections int
	// Streams at once on each connection of HTTP/2.
	Streams int
	// Exchanges in all.
	Exchanges int
	// Size of each answer in bytes. 0: small ones.
	Size int64
	// Chunked asks for answers in chunks.
	Chunked bool
	// Interval, if not 0, is when the next exchange of a connection begins after the one before; without, at once.
	Interval time.Duration
	// Steps are how many connections are open after each step of Held.
	Steps []int
}

// Report is what a load says: when it is ready, after each step, and in the end.
type Report struct {
	// Exchanges that went well and the bytes of their answers' content, each of them compared.
	Exchanges int
	Bytes     int64
	// Took is the time from go to the last answer.
	Took time.Duration
	// P50 and P99 are quantiles of the time from the first byte sent to the last received.
	P50, P99 time.Duration
	// Error is the first one; with it the load ends.
	Error string
}
