package l7

import (
	"fmt"
	"io"

	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/stream"
)

// body reads the content of an HTTP/1 message, or of a stream without framing (kind UntilClose).
type body struct {
	loop *eventloop.Loop
	from *stream.Stream
	in   *input // what has come of it already
	kind http1.BodyKind
	left int64
	dec  *http1.ChunkDecoder
}

var _ source = (*body)(nil)

func newBody(l *eventloop.Loop, from *stream.Stream, in *input, f http1.Framing, dec *http1.ChunkDecoder) body {
	if f.Kind == http1.Chunked {
		dec.Reset()
	}
	return body{loop: l, from: from, in: in, kind: f.Kind, left: f.Length, dec: dec}
}

// read implements source.
func (b *body) read(p []byte) (n int, done bool, err error) {
	if b.kind == http1.Length {
		p = p[:min(int64(len(p)), b.left)]
	}
	if ready := b.in.buffered(); len(ready) > 0 {
		n, used, done, err := b.decode(p[:copy(p, ready)])
		b.in.skip(used)
		b.in.release(b.loop)
		return n, done, err
	}
	got, err := b.from.Read(p)
	if err != nil {
		return 0, err == io.EOF && b.kind == http1.UntilClose, b.ended(err)
	}
	n, used, done, err := b.decode(p[:got])
	b.in.unread(b.loop, p[used:got])
	return n, done, err
}

// ended judges the end of the stream: only a body that lasts until then is complete.
func (b *body) ended(err error) error {
	switch {
	case err != io.EOF:
		return err
	case b.kind == http1.UntilClose:
		return nil
	}
	return fmt.Errorf("body: %w", io.ErrUnexpectedEOF)
}

// inline implements source.
func (b *body) inline(dst []byte, most int, chunked bool) (out []byte, n int, done bool, err error) {
	p := b.in.buffered()
	p = p[:max(0, min(len(p), most))]
	if len(p) == 0 {
		return dst, 0, false, nil
	}
	n, used, done, err := b.decode(p)
	b.in.skip(used)
	switch {
	case err != nil:
		return dst, n, false, err
	case !chunked:
		return append(dst, p[:n]...), n, done, nil
	}
	dst = http1.AppendChunk(dst, p[:n])
	if done {
		dst = http1.AppendLastChunk(dst, b.trailers())
	}
	return dst, n, done, nil
}

// decode moves the content in p to its front. It returns how much that is and how many bytes of p belong to the body.
func (b *body) decode(p []byte) (n, used int, done bool, err error) {
	switch b.kind {
	case http1.Length:
		n = int(min(int64(len(p)), b.left))
		b.left -= int64(n)
		return n, n, b.left == 0, nil
	case http1.Chunked:
		n, used, err = b.dec.Decode(p)
		return n, used, b.dec.Done(), err
	}
	return len(p), len(p), false, nil
}

// trailers implements source.
func (b *body) trailers() []byte {
	if b.kind == http1.Chunked {
		return b.dec.Trailers()
	}
	return nil
}

// direct implements source.
func (b *body) direct() (*stream.Stream, int64) {
	switch {
	case !b.from.Clear() || b.in.r != b.in.w:
		return nil, 0
	case b.kind == http1.Length:
		return b.from, b.left
	case b.kind == http1.UntilClose:
		return b.from, 1 << 30
	}
	return nil, 0
}

// took implements source.
func (b *body) took(n int, err error) (done bool, failed error) {
	if err == io.EOF {
		return b.kind == http1.UntilClose, b.ended(err)
	}
	if b.kind == http1.Length {
		b.left -= int64(n)
		return b.left == 0, err
	}
	return false, err
}

// again implements source.
func (b *body) again() { b.from.Again() }

// wire writes content to a stream, chunked or as it is.
type wire struct {
	to      *stream.Stream
	chunked bool
}

var _ sink = (*wire)(nil)

// frame implements sink.
func (w *wire) frame(block []byte, n int, done bool, trailers []byte) []byte {
	from, to := margin, margin+n
	out := block[from:to]
	if !w.chunked {
		return out
	}
	if n > 0 {
		var size [http1.ChunkOverhead]byte
		line := http1.AppendChunkSize(size[:0], n)
		from -= copy(block[from-len(line):], line)
		out = append(block[from:to], '\r', '\n') //nolint:gocritic // out is a window of block, the bytes after it are kept free
	}
	if done {
		out = http1.AppendLastChunk(out, trailers)
	}
	return out
}

// write implements sink.
func (w *wire) write(p []byte, _ bool) (int, error) { return w.to.Write(p) }

// drain implements sink.
func (w *wire) drain(p *eventloop.Pipe) (int, error) { return w.to.Drain(p) }

// finish implements sink: frame has said it all.
func (w *wire) finish([]byte) error { return nil }

// flush implements sink.
func (w *wire) flush() error { return w.to.Flush() }

// closeWrite implements sink.
func (w *wire) closeWrite() error { return w.to.CloseWrite() }

// direct implements sink.
func (w *wire) direct() bool { return !w.chunked && w.to.Clear() }
