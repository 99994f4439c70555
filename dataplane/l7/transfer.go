package l7

import (
	"errors"
	"fmt"
	"io"

	"github.com/truepacs/balancer/dataplane/http1"
)

// transfer carries one message body from a stream to a connection, in the framing each side
// wants. It holds at most one buffer, and writes what it has read before it reads more.
type transfer struct {
	src     *stream
	dst     *stream
	watch   *watch
	in      http1.Framing
	chunked bool // the framing of dst
	left    int64
	dec     *http1.ChunkDecoder
	done    bool
	moved   int64 // bytes of content
	splice  splicer
}

// sourceError and sinkError say which side of a transfer failed.
type (
	sourceError struct{ err error }
	sinkError   struct{ err error }
)

// Error implements error.
func (e *sourceError) Error() string { return "read: " + e.err.Error() }

// Unwrap returns the cause.
func (e *sourceError) Unwrap() error { return e.err }

// Error implements error.
func (e *sinkError) Error() string { return "write: " + e.err.Error() }

// Unwrap returns the cause.
func (e *sinkError) Unwrap() error { return e.err }

// isSource tells whether a transfer failed for its source.
func isSource(err error) bool {
	var source *sourceError
	return errors.As(err, &source)
}

// begin prepares a transfer; dec is used if the source is chunked.
func (t *transfer) begin(src, dst *stream, w *watch, in http1.Framing, chunked bool, dec *http1.ChunkDecoder) {
	*t = transfer{src: src, dst: dst, watch: w, in: in, chunked: chunked, left: in.Length, dec: dec, splice: t.splice}
	t.done = in.Kind == http1.NoBody
	if in.Kind == http1.Chunked {
		dec.Reset()
	}
}

// inline appends to out what of the body is buffered already, so that it travels with the head.
func (t *transfer) inline(out []byte) ([]byte, error) {
	p := t.src.buffered()
	if t.done || len(p) == 0 {
		return out, nil
	}
	n, consumed, err := t.decode(p)
	t.src.skip(consumed)
	if err != nil {
		return out, err
	}
	if !t.chunked {
		return append(out, p[:n]...), nil
	}
	out = http1.AppendChunk(out, p[:n])
	if t.done {
		out = http1.AppendLastChunk(out, t.trailers())
	}
	return out, nil
}

// decode takes the content out of p and moves it to the front. It returns how much content there
// is and how many bytes of p belong to the body.
func (t *transfer) decode(p []byte) (n, consumed int, err error) {
	switch t.in.Kind {
	case http1.Length:
		n = int(min(int64(len(p)), t.left))
		t.left -= int64(n)
		t.done = t.left == 0
		consumed = n
	case http1.Chunked:
		if n, consumed, err = t.dec.Decode(p); err != nil {
			return 0, consumed, &sourceError{err}
		}
		t.done = t.dec.Done()
	default:
		n, consumed = len(p), len(p)
	}
	t.moved += int64(n)
	return n, consumed, nil
}

func (t *transfer) trailers() []byte {
	if t.in.Kind == http1.Chunked {
		return t.dec.Trailers()
	}
	return nil
}

// run carries the rest of the body.
func (t *transfer) run() error {
	for !t.done {
		full, err := t.step()
		if err != nil {
			return err
		}
		if full && t.in.Kind == http1.Length && !t.chunked && t.splice.possible(t.src, t.dst) {
			n, err := t.splice.run(t.src, t.dst, t.watch, t.left)
			t.left -= n
			t.moved += n
			t.done = t.left == 0
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// chunkRoom is how much of a buffer is left free for framing before and after the content.
const chunkRoom = 2 * http1.ChunkOverhead

// step reads once and writes once. full says that the source had at least a buffer full.
func (t *transfer) step() (full bool, err error) {
	most := largeSize - chunkRoom
	if t.in.Kind == http1.Length {
		most = int(min(int64(most), t.left))
	}
	buf, got, err := t.src.read(wanted{from: http1.ChunkOverhead, max: most})
	if err != nil {
		return false, t.ended(err)
	}
	defer giveBack(buf)
	t.watch.touch()
	p := buf[http1.ChunkOverhead : http1.ChunkOverhead+got]
	n, consumed, err := t.decode(p)
	if err != nil {
		return false, err
	}
	t.src.unread(p[consumed:])
	return got == most, t.write(buf, n)
}

// ended judges the end of the source: only a body that lasts until then is complete.
func (t *transfer) ended(err error) error {
	if err != io.EOF || t.in.Kind != http1.UntilClose {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return &sourceError{fmt.Errorf("body: %w", err)}
	}
	t.done = true
	buf := borrowLarge()
	defer giveBack(buf)
	return t.write(buf, 0)
}

// write sends n bytes of content that lie at offset http1.ChunkOverhead of buf, framed.
func (t *transfer) write(buf []byte, n int) error {
	from, to := http1.ChunkOverhead, http1.ChunkOverhead+n
	out := buf[from:to]
	if t.chunked {
		if n > 0 {
			var size [http1.ChunkOverhead]byte
			line := http1.AppendChunkSize(size[:0], n)
			from -= copy(buf[from-len(line):], line)
			out = append(buf[from:to], '\r', '\n') //nolint:gocritic // out is a window of buf, the two bytes after it are kept free
		}
		if t.done {
			out = http1.AppendLastChunk(out, t.trailers())
		}
	}
	if len(out) == 0 {
		return nil
	}
	if _, err := t.dst.conn.Write(out); err != nil {
		return &sinkError{err}
	}
	t.watch.touch()
	return nil
}
