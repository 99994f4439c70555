package dicom

import "errors"

// Errors of the parsers and encoders; test with errors.Is. The wrapping error says where and what.
var (
	// ErrShort means that the bytes end before the value does. On a stream it means: read more.
	ErrShort = errors.New("bytes end before the value does")
	// ErrNotDICOM means that a PDU type is none of PS3.8 section 9.3.1's seven: the peer
	// speaks another protocol, or TLS.
	ErrNotDICOM = errors.New("not a DICOM PDU")
	// ErrTooLarge means that a length exceeds the configured Limits.
	ErrTooLarge = errors.New("longer than the limit")
	// ErrMalformed means that a length, count or value contradicts PS3.5, PS3.7 or PS3.8.
	ErrMalformed = errors.New("malformed")
	// ErrInvalidAETitle means that a string is no AE title, see ParseAETitle.
	ErrInvalidAETitle = errors.New("not an AE title")
)
