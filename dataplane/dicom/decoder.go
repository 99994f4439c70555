package dicom

// Decoder cuts a byte stream into PDUs. The zero value is not usable, see NewDecoder. It is not safe
// for concurrent use.
//
// It refuses a PDU as soon as its header shows that it is wrong or too long, and holds only bytes
// that were fed: at most one PDU within the limits plus the last piece fed, if the caller takes
// PDUs until there are none before it feeds again.
type Decoder struct {
	limits Limits
	buf    []byte
	start  int
	err    error
}

// NewDecoder returns a decoder with the given limits; zero fields mean the defaults.
func NewDecoder(l Limits) *Decoder { return &Decoder{limits: l.withDefaults()} }

// reset makes a decoder like new; it keeps its memory.
func (d *Decoder) reset() { d.buf, d.start, d.err = d.buf[:0], 0, nil }

// Feed adds received bytes, which it copies. It invalidates PDVs returned earlier.
func (d *Decoder) Feed(p []byte) {
	if d.err != nil {
		return
	}
	if d.start > 0 {
		d.buf = d.buf[:copy(d.buf, d.buf[d.start:])]
		d.start = 0
	}
	d.buf = append(d.buf, p...)
}

// Next returns the next PDU, nil if more bytes are needed, or an error. An error is final: a stream
// that went wrong has no next PDU. The fragments of a PData are valid until the next Feed.
func (d *Decoder) Next() (PDU, error) {
	if d.err != nil {
		return nil, d.err
	}
	pdu, err := d.next()
	if err != nil {
		d.err, d.buf = err, nil
	}
	return pdu, err
}

func (d *Decoder) next() (PDU, error) {
	rest := d.buf[d.start:]
	h, err := ParseHeader(rest)
	if err == ErrShort {
		return nil, nil
	}
	if err == nil {
		err = h.Check(d.limits)
	}
	if err != nil {
		return nil, err
	}
	end := HeaderLength + int(h.Length)
	if len(rest) < end {
		return nil, nil
	}
	d.start += end
	return ParsePDU(rest[:end:end], d.limits)
}

// Buffered returns how many bytes wait for the rest of their PDU.
func (d *Decoder) Buffered() int { return len(d.buf) - d.start }
