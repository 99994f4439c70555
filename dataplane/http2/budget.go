package http2

// A budget is how much more of something a peer may do. Whatever is of use fills it up again, so
// that it needs no clock: what counts is the relation of abuse to use.
type budget struct{ left, most int }

func newBudget(most int) budget { return budget{most, most} }

// spend takes one; it is false if none was left.
func (b *budget) spend() bool {
	b.left--
	return b.left >= 0
}

func (b *budget) refill(n int) { b.left = min(b.left+n, b.most) }

const (
	// resetsByFinished is how many resets a finished stream allows for: a viewer that is scrolled
	// through a series cancels most of what it asked for.
	resetsByFinished = 4
	// glitchesByFinished is how many frames of no use a finished stream allows for: clients send
	// PING, PRIORITY and WINDOW_UPDATE with each request.
	glitchesByFinished = 50
	// glitchesByFrame is what a frame of content sent allows for, beside one for each KiB of
	// content sent or received: a WINDOW_UPDATE each for the stream and the connection.
	glitchesByFrame = 2
	// tinyWindow is a flow-control window so small that the frames which it cuts allow for nothing.
	tinyWindow = 1024
)

// glitch counts a frame of no use: a flood of them costs time and does nothing.
func (c *Conn) glitch() *Error {
	if !c.glitches.spend() {
		return calm("too many frames of no use")
	}
	return nil
}

// provoked counts a stream that the peer made and unmade: CVE-2023-44487 by its own resets,
// CVE-2025-8671 by errors for which it is reset.
func (c *Conn) provoked() *Error {
	if !c.resets.spend() {
		return calm("too many streams reset")
	}
	return nil
}

// finished counts a stream that went to its end.
func (c *Conn) finished() {
	c.resets.refill(resetsByFinished)
	c.glitches.refill(glitchesByFinished)
}

// sentContent counts content in a frame; cut says that a flow-control window cut it short.
func (c *Conn) sentContent(n int, cut bool) {
	if !cut || n >= tinyWindow {
		c.glitches.refill(glitchesByFrame + n/1024)
	}
}
