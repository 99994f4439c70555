package l7

import (
	"github.com/truepacs/balancer/dataplane/eventloop"
	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/stream"
)

// backlog is content that has come and not been taken. The windows of HTTP/2 bound it.
type backlog struct {
	blocks []*eventloop.Block
	r, w   int // in the first and the last block
	size   int
}

func (b *backlog) append(l *eventloop.Loop, p []byte) {
	b.size += len(p)
	for len(p) > 0 {
		if len(b.blocks) == 0 || b.w == eventloop.BlockSize {
			b.blocks, b.w = append(b.blocks, l.TakeBlock()), 0
		}
		n := copy(b.blocks[len(b.blocks)-1][b.w:], p)
		b.w += n
		p = p[n:]
	}
}

// front is the oldest bytes that lie together.
func (b *backlog) front() []byte {
	switch len(b.blocks) {
	case 0:
		return nil
	case 1:
		return b.blocks[0][b.r:b.w]
	}
	return b.blocks[0][b.r:]
}

// skip uses n bytes of front.
func (b *backlog) skip(l *eventloop.Loop, n int) {
	b.size -= n
	if b.r += n; b.size == 0 {
		b.drop(l)
	} else if b.r == eventloop.BlockSize {
		l.GiveBlock(b.blocks[0])
		b.blocks, b.r = append(b.blocks[:0], b.blocks[1:]...), 0
	}
}

func (b *backlog) drop(l *eventloop.Loop) {
	for i, block := range b.blocks {
		l.GiveBlock(block)
		b.blocks[i] = nil
	}
	*b = backlog{blocks: b.blocks[:0]}
}

// h2upload is a stream as the source of its request's content.
type h2upload h2stream

var _ source = (*h2upload)(nil)

// read implements source.
func (u *h2upload) read(p []byte) (n int, done bool, err error) {
	s := (*h2stream)(u)
	for n < len(p) && s.backlog.size > 0 {
		m := copy(p[n:], s.backlog.front())
		s.take(m)
		n += m
	}
	done = s.ended && s.backlog.size == 0
	switch {
	case n > 0 || done:
		return n, done, nil
	case s.lost:
		return 0, false, errGone
	}
	return 0, false, stream.ErrAgain
}

// inline implements source.
func (u *h2upload) inline(dst []byte, most int, chunked bool) (out []byte, n int, done bool, err error) {
	s := (*h2stream)(u)
	p := s.backlog.front()
	p = p[:max(0, min(len(p), most))]
	if n = len(p); chunked {
		dst = http1.AppendChunk(dst, p)
	} else {
		dst = append(dst, p...)
	}
	if n > 0 {
		s.take(n)
	}
	if done = s.ended && s.backlog.size == 0; done && chunked {
		dst = http1.AppendLastChunk(dst, s.tail)
	}
	return dst, n, done, nil
}

// take uses n bytes of content and lets the client send more.
func (s *h2stream) take(n int) {
	s.backlog.skip(s.w.loop, n)
	if s.http2 != nil {
		s.http2.Consumed(n)
		s.parted()
	}
}

// trailers implements source.
func (u *h2upload) trailers() []byte { return u.tail }

// direct implements source: nothing passes as it is.
func (u *h2upload) direct() (*stream.Stream, int64) { return nil, 0 }

// took implements source.
func (u *h2upload) took(int, error) (bool, error) { return false, nil }

// again implements source.
func (u *h2upload) again() { (*h2stream)(u).Again() }

// h2download is a stream as the sink of its answer's content, which goes into the connection's output.
type h2download h2stream

var _ sink = (*h2download)(nil)

// frame implements sink: package http2 frames.
func (d *h2download) frame(block []byte, n int, _ bool, _ []byte) []byte {
	return block[margin : margin+n]
}

// write implements sink.
func (d *h2download) write(p []byte, last bool) (int, error) {
	s := (*h2stream)(d)
	if s.http2 == nil {
		return 0, errGone
	}
	n := s.http2.Data(p, last)
	switch {
	case n == 0:
		return 0, stream.ErrAgain
	case n == len(p) && last:
		s.done = true
		s.parted()
	}
	return n, nil
}

// finish implements sink. An interim answer is not the end.
func (d *h2download) finish(trailers []byte) error {
	s := (*h2stream)(d)
	switch {
	case s.done || !s.said:
		return nil
	case s.http2 == nil:
		return errGone
	case len(trailers) > 0:
		w := s.http2.Fields()
		addLines(w, trailers)
		s.http2.Trailers(w)
	default:
		s.http2.Data(nil, true)
	}
	s.done = true
	s.parted()
	return nil
}

// drain implements sink; nothing is direct.
func (d *h2download) drain(*eventloop.Pipe) (int, error) { return 0, errGone }

// flush implements sink: the connection sends by itself.
func (d *h2download) flush() error { return nil }

// closeWrite implements sink: finish has done it.
func (d *h2download) closeWrite() error { return nil }

// direct implements sink.
func (d *h2download) direct() bool { return false }
