package http2

import "strconv"

// ErrCode says why a stream or connection ended, RFC 9113 section 7.
type ErrCode uint32

// Error codes, RFC 9113 section 7.
const (
	NoError ErrCode = iota
	ProtocolError
	InternalError
	FlowControlError
	SettingsTimeout
	StreamClosed
	FrameSizeError
	RefusedStream
	Cancel
	CompressionError
	ConnectError
	EnhanceYourCalm
	InadequateSecurity
	HTTP11Required
)

var codeNames = [...]string{
	"NO_ERROR", "PROTOCOL_ERROR", "INTERNAL_ERROR", "FLOW_CONTROL_ERROR", "SETTINGS_TIMEOUT", "STREAM_CLOSED",
	"FRAME_SIZE_ERROR", "REFUSED_STREAM", "CANCEL", "COMPRESSION_ERROR", "CONNECT_ERROR", "ENHANCE_YOUR_CALM",
	"INADEQUATE_SECURITY", "HTTP_1_1_REQUIRED",
}

// String returns the name that the RFC gives the code, or its number.
func (e ErrCode) String() string {
	if int(e) < len(codeNames) {
		return codeNames[e]
	}
	return "error " + strconv.FormatUint(uint64(e), 10)
}

// Error says why a connection was ended, RFC 9113 section 5.4.1. Its text names no byte that was
// received, which may be patient data.
type Error struct {
	// Code is what the peer was told.
	Code ErrCode
	// Reason is a short phrase, stable enough to be counted by.
	Reason string
}

// Error implements error.
func (e *Error) Error() string { return "http2: " + e.Reason + " (" + e.Code.String() + ")" }

func protocol(reason string) *Error  { return &Error{ProtocolError, reason} }
func frameSize(reason string) *Error { return &Error{FrameSizeError, reason} }
func calm(reason string) *Error      { return &Error{EnhanceYourCalm, reason} }
