package http1

// ChunkDecoder reads a body in the chunked coding (RFC 9112 section 7.1) as its bytes come in,
// however they are cut. The zero value is ready for the first byte.
type ChunkDecoder struct {
	left     int64 // bytes of the chunk still to come
	seen     int64 // bytes of the body consumed
	excess   int64 // what the size lines cost beyond a fair share, see maxExcess
	line     int   // bytes of the line now read
	digits   int
	trailer  int // bytes of the trailer section so far
	state    chunkState
	trailers []byte
}

type chunkState uint8

const (
	chunkSize chunkState = iota // at least one digit is due
	chunkDigits
	chunkExtension
	chunkSizeLF
	chunkData
	chunkDataCR
	chunkDataLF
	chunkTrailer // in the trailer section, at the start of or within a line
	chunkDone
)

// maxExcess bounds size lines and extensions in proportion to the data they frame, so that one
// byte of content cannot cost kilobytes of reading for ever (the bound of CVE-2023-39326).
const maxExcess = 16 << 10

// Reset makes d ready for the next body; its memory is kept.
func (d *ChunkDecoder) Reset() { *d = ChunkDecoder{trailers: d.trailers[:0]} }

// Done tells that the body is complete: what follows belongs to the next message.
func (d *ChunkDecoder) Done() bool { return d.state == chunkDone }

// Trailers returns the trailer section: field lines with their line ends, without the empty
// line; fields that must not be sent as trailers are left out. Valid after Done until Reset.
func (d *ChunkDecoder) Trailers() []byte { return d.trailers }

// Next consumes n bytes of p. p[from:n] of them is content, the bytes before from are framing.
// Call again with p[n:] until it is empty or Done. The error is an *Error.
func (d *ChunkDecoder) Next(p []byte) (from, n int, err error) {
	for n < len(p) && d.state != chunkDone {
		if d.state == chunkData {
			m := min(int64(len(p)-n), d.left)
			from, n = n, n+int(m)
			d.seen += m
			if d.left -= m; d.left == 0 {
				d.state = chunkDataCR
			}
			return from, n, nil
		}
		if err := d.frame(p[n]); err != nil {
			return n, n, err
		}
		n++
		d.seen++
	}
	return n, n, nil
}

// Decode consumes p until the body is done or p is, moves the content to the front of p and
// returns how much it is and how many bytes were consumed. The bytes between are spoilt.
func (d *ChunkDecoder) Decode(p []byte) (content, consumed int, err error) {
	for consumed < len(p) && !d.Done() {
		from, n, err := d.Next(p[consumed:])
		if err != nil {
			return content, consumed, err
		}
		content += copy(p[content:], p[consumed+from:consumed+n])
		consumed += n
	}
	return content, consumed, nil
}

// frame takes one byte outside of a chunk's data.
func (d *ChunkDecoder) frame(c byte) error {
	switch d.state {
	case chunkSize, chunkDigits:
		return d.size(c)
	case chunkExtension:
		return d.extension(c)
	case chunkSizeLF:
		return d.endSize(c)
	case chunkDataCR:
		return d.expect(c, '\r', chunkDataLF, "chunk is longer than its size")
	case chunkDataLF:
		return d.expect(c, '\n', chunkSize, "bare CR after a chunk")
	default:
		return d.trailerOctet(c)
	}
}

func (d *ChunkDecoder) fail(reason string) error { return bad(int(d.seen), reason) }

func (d *ChunkDecoder) expect(c, want byte, next chunkState, reason string) error {
	if c != want {
		return d.fail(reason)
	}
	d.state = next
	return nil
}

// size takes a hexadecimal digit, or what ends the digits.
func (d *ChunkDecoder) size(c byte) error {
	d.line++
	switch {
	case octets[c]&classHex != 0:
		if d.digits++; d.digits > 15 {
			return d.fail("chunk size of more than 15 digits")
		}
		d.left = d.left<<4 | int64(unhex(c))
		d.state = chunkDigits
	case d.state == chunkSize:
		return d.fail("chunk without size")
	case c == ';':
		d.state = chunkExtension
	case c == '\r':
		d.state = chunkSizeLF
	default:
		return d.fail("octet not allowed in a chunk size")
	}
	return nil
}

// extension skips chunk extensions: none is known, so none is passed on (section 7.1.1).
func (d *ChunkDecoder) extension(c byte) error {
	d.line++
	switch {
	case d.line > MaxChunkLine-2:
		return d.fail("chunk extension too long")
	case c == '\r':
		d.state = chunkSizeLF
	case octets[c]&classValue == 0:
		return d.fail("control octet in a chunk extension")
	}
	return nil
}

func (d *ChunkDecoder) endSize(c byte) error {
	if c != '\n' {
		return d.fail("bare CR in a chunk size")
	}
	d.excess = max(0, d.excess+int64(d.line)+1-16-2*d.left)
	if d.excess > maxExcess {
		return d.fail("chunk sizes and extensions out of proportion to their data")
	}
	d.state, d.line, d.digits = chunkData, 0, 0
	if d.left == 0 {
		d.state = chunkTrailer
	}
	return nil
}

func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}
