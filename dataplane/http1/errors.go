package http1

import "strconv"

// Limits bound the size of a message head. The zero value means the defaults.
type Limits struct {
	// HeadBytes is the most bytes in a head, start line and final empty line included.
	// Default 32 KiB.
	HeadBytes int
	// Fields is the most header fields. Default 128.
	Fields int
}

// Default limits of a head, and the bounds of what a chunked body may carry beside its content.
const (
	DefaultHeadBytes = 32 << 10
	DefaultFields    = 128
	// MaxTrailerBytes is the most bytes in the trailer section of a chunked body.
	MaxTrailerBytes = 8 << 10
	// MaxChunkLine is the most bytes in a chunk-size line, extensions included.
	MaxChunkLine = 4 << 10
)

func (l Limits) withDefaults() Limits {
	if l.HeadBytes <= 0 {
		l.HeadBytes = DefaultHeadBytes
	}
	if l.Fields <= 0 {
		l.Fields = DefaultFields
	}
	return l
}

// Error says why a message is refused. Its text names no byte of the message, which may hold
// patient data.
type Error struct {
	// Status is what a server should answer to such a request: 400, 414, 431, 501 or 505.
	Status int
	// Reason is a short phrase, stable enough to be counted by.
	Reason string
	// Offset is where in the head it was seen, or in the body since its start.
	Offset int
}

// Error implements error.
func (e *Error) Error() string {
	return "http1: " + e.Reason + " at byte " + strconv.Itoa(e.Offset)
}

func bad(offset int, reason string) *Error {
	return &Error{Status: 400, Reason: reason, Offset: offset}
}
