package http1

// trailerOctet takes a byte of the trailer section, RFC 9112 section 7.1.2. Lines are kept in
// d.trailers; d.line is the length of the one now read.
func (d *ChunkDecoder) trailerOctet(c byte) error {
	if d.trailer++; d.trailer > MaxTrailerBytes {
		return d.fail("trailer section too large")
	}
	d.trailers = append(d.trailers, c)
	d.line++
	if c != '\n' {
		return nil
	}
	from, to := len(d.trailers)-d.line, len(d.trailers)
	d.line = 0
	if to-from < 2 || d.trailers[to-2] != '\r' {
		return d.fail("bare LF in the trailer section")
	}
	if to-from == 2 {
		d.trailers = d.trailers[:from]
		d.state = chunkDone
		return nil
	}
	f, err := readField(d.trailers, from, to-2)
	if err != nil {
		return d.fail(err.Reason)
	}
	if !f.ID.Trailing() {
		d.trailers = d.trailers[:from]
	}
	return nil
}

// Trailing tells whether a field may be sent as a trailer. RFC 9110 section 6.5.1 excludes those
// for framing, routing, authentication and the connection, which a recipient must have seen
// first; and a server that merges trailers into the header must not get a forged X-Forwarded-For.
func (id FieldID) Trailing() bool { return id == OtherField || id == Date }
