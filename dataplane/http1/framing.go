package http1

import "bytes"

// BodyKind is how the end of a body is found.
type BodyKind uint8

// Kinds of body framing, RFC 9112 section 6.3.
const (
	// NoBody: the message ends with its head.
	NoBody BodyKind = iota
	// Length: the body has Framing.Length bytes, more than none.
	Length
	// Chunked: the body carries its end in the chunked coding.
	Chunked
	// UntilClose: a response that ends where its connection does.
	UntilClose
	// Tunnel: after this response the connection carries bytes of another protocol.
	Tunnel
)

// String returns the kind's name.
func (k BodyKind) String() string {
	return [...]string{"none", "length", "chunked", "until close", "tunnel"}[k]
}

// Framing says how a body is delimited.
type Framing struct {
	Kind BodyKind
	// Length is the number of bytes of a body of kind Length.
	Length int64
}

// declared is what the fields of a head say about its body.
type declared struct {
	length  int64 // -1: no Content-Length
	chunked bool
}

// framingFields reads Content-Length and Transfer-Encoding. Several Content-Length fields of the
// same digits count as one (RFC 9110 section 8.6); a list within one field is refused, and so are
// two ways to write one number, which others may read differently.
func (h *head) framingFields(minor int) (declared, *Error) {
	d := declared{length: -1}
	var digits []byte
	for i := range h.fields {
		f := &h.fields[i]
		switch f.ID {
		case ContentLength:
			n, ok := parseDigits(h.Bytes(f.Value))
			if !ok {
				return d, bad(int(f.Value.From), "Content-Length is not one decimal number")
			}
			if d.length >= 0 && !bytes.Equal(digits, h.Bytes(f.Value)) {
				return d, bad(int(f.Value.From), "Content-Length fields differ")
			}
			d.length, digits = n, h.Bytes(f.Value)
		case TransferEncoding:
			if err := h.transferEncoding(f, minor, d.chunked); err != nil {
				return d, err
			}
			d.chunked = true
		}
	}
	if d.chunked && d.length >= 0 {
		return d, bad(0, "Content-Length together with Transfer-Encoding")
	}
	return d, nil
}

func (h *head) transferEncoding(f *Field, minor int, again bool) *Error {
	at := int(f.Value.From)
	switch {
	case minor == 0:
		return bad(at, "Transfer-Encoding in an HTTP/1.0 message")
	case again:
		return bad(at, "more than one Transfer-Encoding field")
	case !EqualFold(h.Bytes(f.Value), "chunked"):
		return &Error{Status: codingStatus(h.Bytes(f.Value)), Reason: "transfer coding other than chunked", Offset: at}
	}
	return nil
}

// codingStatus is what to answer to a list of transfer codings that is not chunked alone. Where chunked comes once, and last,
// the body's end is known and its coding is not implemented: 501 (RFC 9112 section 6.1). Else nobody knows where the next
// message begins: 400 (section 6.3).
func codingStatus(list []byte) int {
	for list != nil {
		var coding []byte
		coding, list = NextElement(list)
		if last := list == nil; len(coding) == 0 || EqualFold(coding, "chunked") != last {
			return 400
		}
	}
	return 501
}
