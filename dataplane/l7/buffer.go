package l7

import "sync"

// Sizes of the buffers that connections borrow.
const (
	// smallSize holds nearly every head.
	smallSize = 4 << 10
	// mediumSize holds a head that we write with what of a body came in a small buffer.
	mediumSize = 8 << 10
	// largeSize holds the largest head (http1.DefaultHeadBytes) and carries bodies.
	largeSize = 64 << 10
)

var (
	smallBuffers  = sync.Pool{New: func() any { return new([smallSize]byte) }}
	mediumBuffers = sync.Pool{New: func() any { return new([mediumSize]byte) }}
	largeBuffers  = sync.Pool{New: func() any { return new([largeSize]byte) }}
)

func borrowSmall() []byte  { return smallBuffers.Get().(*[smallSize]byte)[:] }
func borrowMedium() []byte { return mediumBuffers.Get().(*[mediumSize]byte)[:] }
func borrowLarge() []byte  { return largeBuffers.Get().(*[largeSize]byte)[:] }

// giveBack returns a buffer to where it was borrowed; one of another size is left to the
// collector. Nothing may refer to it any more.
func giveBack(b []byte) {
	switch cap(b) {
	case smallSize:
		smallBuffers.Put((*[smallSize]byte)(b[:smallSize]))
	case mediumSize:
		mediumBuffers.Put((*[mediumSize]byte)(b[:mediumSize]))
	case largeSize:
		largeBuffers.Put((*[largeSize]byte)(b[:largeSize]))
	}
}
