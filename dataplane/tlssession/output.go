package tlssession

import "fmt"

// maxAnswers is the most bytes that a peer can make us queue by records that ask for an answer
// (KeyUpdate) while it takes none.
const maxAnswers = 16 << 10

// output is ciphertext on its way to the socket.
type output struct {
	buffers Buffers
	buf     []byte // borrowed
	off     int    // of buf, sent already
	answers int    // bytes queued since buf was empty that no Write asked for
}

// reserve makes room for n bytes more.
func (o *output) reserve(n int) {
	if cap(o.buf)-len(o.buf) >= n {
		return
	}
	rest := o.buf[o.off:]
	to := o.buffers.Borrow(max(len(rest)+n, min(2*cap(o.buf), MaxRecord)))
	to = append(to[:0], rest...)
	if o.buf != nil {
		o.buffers.Return(o.buf)
	}
	o.buf, o.off = to, 0
}

func (o *output) append(p []byte) {
	o.reserve(len(p))
	o.buf = append(o.buf, p...)
}

// answer is append for what crypto/tls says by itself.
func (o *output) answer(p []byte) error {
	if o.answers += len(p); o.answers > maxAnswers {
		return &Error{Reason: Flood, Err: fmt.Errorf("%d bytes of answers wait", o.answers)}
	}
	o.append(p)
	return nil
}

func (o *output) sent(n int) {
	if o.off += n; o.off >= len(o.buf) {
		o.drop()
	}
}

func (o *output) drop() {
	if o.buf != nil {
		o.buffers.Return(o.buf)
	}
	o.buf, o.off, o.answers = nil, 0, 0
}
