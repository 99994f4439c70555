package http2

// Handler is told what the peer does. Its methods are called while Feed, Sent or Abort run, and
// may call every method of the Conn and its Streams but these three.
type Handler interface {
	// Request is the whole header section of a new stream. r is valid during the call only, its
	// strings stay. end says that there is no content.
	Request(s *Stream, r *Request, end bool)
	// Data is content, p is valid during the call only. It is taken out of the flow-control windows
	// until Consumed. p may be empty at the end.
	Data(s *Stream, p []byte, end bool)
	// Trailers is the trailer section and with it the end of the request.
	Trailers(s *Stream, fields []Field)
	// Reset says that the stream is over before its end: the peer reset it, or made an error for
	// which it was reset, or the connection ended.
	Reset(s *Stream, code ErrCode)
	// Writable says that Data, which took less than it was given, will take more.
	Writable(s *Stream)
}

// Conn is the server's side of a connection. It is for one goroutine at a time.
type Conn struct {
	cfg     Config
	handler Handler
	err     *Error // why the connection ended
	input   input
	section section
	block   block
	data    dataFrame
	table   table
	resets  budget
	// glitches is about frames of no use.
	glitches budget

	out  []byte // what is to be written; the first sent bytes were
	sent int

	recvWindow int // what the peer may send yet
	owed       int // what was consumed and not yet told
	sendWindow int64
	peerWindow int64 // SETTINGS_INITIAL_WINDOW_SIZE of the peer

	ready  queue   // streams with content that wait for output or the connection's window
	turn   *Stream // the one whose turn it is
	fields FieldWriter
	// tableDropped is set once the peer was told that our HPACK table is empty.
	tableDropped bool
	leaving      leaving
	accepted     uint32 // the last stream that the handler got, told in GOAWAY
}

// New returns a connection on which nothing was received. Its settings are in the output.
func New(cfg Config, h Handler) *Conn {
	cfg = cfg.withDefaults()
	c := &Conn{
		cfg: cfg, handler: h,
		resets: newBudget(cfg.Resets), glitches: newBudget(cfg.Glitches),
		recvWindow: int(cfg.ConnWindow), sendWindow: initialWindow, peerWindow: initialWindow,
	}
	c.section.init(cfg.MaxFields)
	c.out = c.appendSettings(c.out)
	return c
}

// Feed takes all of p, bytes as they were received. Feed pieces of 16 KiB or so and none while
// Full, then the output stays small. The error is an *Error: GOAWAY is in the output, every stream
// was reset; write the output and close.
func (c *Conn) Feed(p []byte) error {
	for len(p) > 0 && c.err == nil {
		rest, err := c.step(p)
		if err != nil {
			c.fail(err)
		}
		p = rest
	}
	if c.err != nil {
		return c.err
	}
	return nil
}

// Output is what is to be written; it is valid until the next call of any method.
func (c *Conn) Output() []byte { return c.out[c.sent:] }

// Sent says that the first n bytes of Output were written. It may call Writable.
func (c *Conn) Sent(n int) {
	c.sent += n
	switch rest := len(c.out) - c.sent; {
	case rest == 0 && len(c.table.open) == 0 && cap(c.out) > keptBuffer:
		c.out, c.sent = nil, 0
	case rest < c.sent:
		copy(c.out, c.out[c.sent:])
		c.out, c.sent = c.out[:rest], 0
	}
	c.serve()
}

const (
	// keptBuffer is the largest buffer for output that a connection without streams keeps.
	keptBuffer = 16 << 10
	// idleBuffer is the largest one that is left by Trim, or kept for other things.
	idleBuffer = 1 << 10
)

// Trim gives back memory that a connection without streams does not need. Call it when nothing
// came for a while.
func (c *Conn) Trim() {
	if len(c.table.open) > 0 {
		return
	}
	c.table.open, c.table.free = nil, nil
	if len(c.Output()) == 0 && cap(c.out) > idleBuffer {
		c.out, c.sent = nil, 0
	}
	c.fields = FieldWriter{}
	c.section.Fields = nil
}

// Full says that OutputLimit is pending: do not Feed until it was Sent.
func (c *Conn) Full() bool { return len(c.out)-c.sent >= c.cfg.OutputLimit }

// Partial says that a part has come of what the peer should send in one go: the preface, a frame other than DATA, a
// field block.
func (c *Conn) Partial() bool {
	in := &c.input
	return in.preface < len(preface) || c.block.open ||
		in.headLen > 0 && (in.headLen < frameHeadLen || in.frame.kind != frameData)
}

// Streams returns how many streams are not over.
func (c *Conn) Streams() int { return len(c.table.open) }

// Abort ends all streams because the connection is lost.
func (c *Conn) Abort() {
	if c.err == nil {
		c.err = &Error{Cancel, "connection lost"}
	}
	c.resetAll(Cancel)
}

// fail ends the connection, RFC 9113 section 5.4.1.
func (c *Conn) fail(err *Error) {
	c.err = err
	c.out = appendGoAway(c.out, c.accepted, err.Code, err.Reason)
	c.resetAll(err.Code)
}

func (c *Conn) resetAll(code ErrCode) {
	for n := len(c.table.open); n > 0; n = len(c.table.open) {
		s := c.table.open[n-1]
		c.end(s, closedByUs)
		c.handler.Reset(s, code)
	}
}
