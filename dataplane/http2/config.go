package http2

import "cmp"

// Config are the limits of a connection. The zero value means the defaults.
type Config struct {
	// MaxStreams is the most streams at a time, SETTINGS_MAX_CONCURRENT_STREAMS. A stream counts
	// until it is over for the handler too. Default 128. Clients may open 100 before they know, and
	// cannot repeat all that are refused.
	MaxStreams uint32
	// StreamWindow and ConnWindow are the most bytes of content that wait for the handler, of a
	// stream and of all streams. At least 65,535, the protocol's start. Default 256 KiB and 1 MiB.
	StreamWindow, ConnWindow int32
	// MaxFields is the most bytes in a field section, names, values and 32 for each field,
	// SETTINGS_MAX_HEADER_LIST_SIZE (RFC 9113 section 6.5.2). Default 32 KiB.
	MaxFields int
	// OutputLimit is how many bytes of output may be pending before content is held back. It is
	// overshot by at most one frame of 16 KiB. Default 64 KiB.
	OutputLimit int
	// Resets is how many streams more than the finished ones allow for may be reset by the peer
	// before they were answered, or because of the peer's errors. Default 500.
	Resets int
	// Glitches is how many frames of no use more than content and requests allow for the peer may
	// send. Default 10,000.
	Glitches int
	// ExtendedConnect allows CONNECT with :protocol, RFC 8441.
	ExtendedConnect bool
}

const (
	initialWindow = 65535 // RFC 9113 section 6.9.2
	maxWindow     = 1<<31 - 1
	// maxFrame is the most bytes of payload in a frame, both ways: the least that every peer must
	// take, RFC 9113 section 4.2.
	maxFrame = 16384
	// tableSize is the size of the peer's HPACK table, the default of RFC 9113 section 6.5.2.
	tableSize = 4096
)

func (c Config) withDefaults() Config {
	c.MaxStreams = cmp.Or(c.MaxStreams, 128)
	c.StreamWindow = max(cmp.Or(c.StreamWindow, 256<<10), initialWindow)
	c.ConnWindow = max(cmp.Or(c.ConnWindow, 1<<20), initialWindow)
	c.MaxFields = cmp.Or(max(c.MaxFields, 0), 32<<10)
	c.OutputLimit = cmp.Or(max(c.OutputLimit, 0), 64<<10)
	c.Resets = cmp.Or(max(c.Resets, 0), 500)
	c.Glitches = cmp.Or(max(c.Glitches, 0), 10_000)
	return c
}
