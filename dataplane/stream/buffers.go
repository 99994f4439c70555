package stream

import (
	"math/bits"

	"github.com/truepacs/balancer/dataplane/tlssession"
)

const (
	smallest = 12 // 4 KiB
	largest  = 18 // 256 KiB, above what a session holds
	spares   = 16 // of each size
)

// buffers lends memory to the sessions of a loop, in powers of two.
type buffers struct {
	spare [largest - smallest + 1][][]byte
}

var _ tlssession.Buffers = (*buffers)(nil)

// Borrow implements tlssession.Buffers.
func (b *buffers) Borrow(n int) []byte {
	class := max(bits.Len(uint(max(n, 1)-1)), smallest)
	if class > largest {
		return make([]byte, 0, n)
	}
	list := &b.spare[class-smallest]
	if last := len(*list) - 1; last >= 0 {
		p := (*list)[last]
		(*list)[last] = nil
		*list = (*list)[:last]
		return p
	}
	return make([]byte, 0, 1<<class)
}

// Return implements tlssession.Buffers.
func (b *buffers) Return(p []byte) {
	class := bits.Len(uint(cap(p))) - 1
	if class < smallest || class > largest || cap(p) != 1<<class || len(b.spare[class-smallest]) >= spares {
		return
	}
	b.spare[class-smallest] = append(b.spare[class-smallest], p[:0])
}
