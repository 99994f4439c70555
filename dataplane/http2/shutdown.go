package http2

// leaving is how far a graceful end has come, RFC 9113 section 6.8.
type leaving uint8

const (
	staying   leaving = iota
	announced         // GOAWAY without a limit and PING were sent
	left              // GOAWAY with the last stream was sent
)

// farewell is the payload of the PING whose acknowledgement says that the peer knows.
const farewell = "farewell"

// Shutdown begins a graceful end: the peer is told to open no more streams, and once it has
// acknowledged that, streams that it opens nevertheless are refused. Called again it does not wait
// for the acknowledgement. See Ended.
func (c *Conn) Shutdown() {
	switch {
	case c.err != nil:
	case c.leaving == staying:
		c.leaving = announced
		c.out = appendGoAway(c.out, maxWindow, NoError, "")
		c.out = appendPing(c.out, 0, []byte(farewell))
	case c.leaving == announced:
		c.leave()
	}
}

func (c *Conn) leave() {
	c.leaving = left
	c.out = appendGoAway(c.out, c.accepted, NoError, "")
}

// Ended says that no stream is left and none will come: write the output and close.
func (c *Conn) Ended() bool {
	return c.err != nil || c.leaving == left && len(c.table.open) == 0
}
