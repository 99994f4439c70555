package http1

import "bytes"

// head is what requests and responses have in common: the line reader and the fields.
type head struct {
	buf    []byte
	fields []Field
	line   int // where the line now read starts
	scan   int // no LF before here
	start  bool
}

func (h *head) reset() {
	*h = head{fields: h.fields[:0]}
}

// Fields returns the header fields in their order. The slice is valid until Reset; its elements
// may be changed.
func (h *head) Fields() []Field { return h.fields }

// Bytes returns the octets of a span.
func (h *head) Bytes(s Span) []byte { return h.buf[s.From:s.To] }

// Find returns the value of the first field of a known name, nil if there is none.
func (h *head) Find(id FieldID) []byte {
	for i := range h.fields {
		if h.fields[i].ID == id {
			return h.Bytes(h.fields[i].Value)
		}
	}
	return nil
}

// parse reads the lines that are complete. startLine reads the first one. It returns the length
// of the head, or 0 while more bytes are needed.
func (h *head) parse(buf []byte, l Limits, startLine func(from, to int) *Error) (int, *Error) {
	h.buf = buf
	for {
		end, err := h.nextLine(l.HeadBytes)
		if err != nil || end < 0 {
			return 0, err
		}
		from, to := h.line, end-1
		h.line, h.scan = end+1, end+1
		switch {
		case !h.start && to == from && from == 0:
			continue // RFC 9112 section 2.2: one empty line before the start line is ignored
		case !h.start:
			h.start = true
			err = startLine(from, to)
		case to == from:
			return h.line, nil
		case len(h.fields) >= l.Fields:
			err = &Error{Status: 431, Reason: "too many header fields", Offset: from}
		default:
			err = h.field(from, to)
		}
		if err != nil {
			return 0, err
		}
	}
}

// nextLine returns the offset of the LF that ends the line at h.line, -1 if it has not come.
func (h *head) nextLine(most int) (int, *Error) {
	i := bytes.IndexByte(h.buf[h.scan:], '\n')
	if i < 0 {
		h.scan = len(h.buf)
		if len(h.buf) >= most {
			return 0, h.tooLarge(most)
		}
		return -1, nil
	}
	end := h.scan + i
	if end >= most {
		return 0, h.tooLarge(most)
	}
	if end == h.line || h.buf[end-1] != '\r' {
		return 0, bad(end, "bare LF")
	}
	return end, nil
}

// tooLarge says what is too large: the fields, or the start line, of which mostly the target is (RFC 9112 section 3).
func (h *head) tooLarge(most int) *Error {
	if !h.start {
		return &Error{Status: 414, Reason: "start line too large", Offset: most}
	}
	return &Error{Status: 431, Reason: "head too large", Offset: most}
}

// field reads one field line, RFC 9112 section 5.
func (h *head) field(from, to int) *Error {
	f, err := readField(h.buf, from, to)
	if err != nil {
		return err
	}
	h.fields = append(h.fields, f)
	return nil
}

// readField reads the field line buf[from:to], without its line end.
func readField(buf []byte, from, to int) (Field, *Error) {
	if isSpace(buf[from]) {
		return Field{}, bad(from, "folded header line or space before the field name")
	}
	i := from
	for i < to && octets[buf[i]]&classToken != 0 {
		i++
	}
	switch {
	case i == to:
		return Field{}, bad(from, "header line without colon")
	case buf[i] != ':' && isSpace(buf[i]):
		return Field{}, bad(i, "space before the colon of a header line")
	case buf[i] != ':':
		return Field{}, bad(i, "octet not allowed in a field name")
	case i == from:
		return Field{}, bad(from, "empty field name")
	}
	vf, vt := trim(buf, i+1, to)
	if !all(buf[vf:vt], classValue) {
		return Field{}, bad(vf, "control octet in a field value")
	}
	id := IdentifyField(buf[from:i])
	return Field{Name: span(from, i), Value: span(vf, vt), ID: id, Hop: id.hopByHop()}, nil
}
