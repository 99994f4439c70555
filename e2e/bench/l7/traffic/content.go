package traffic

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
)

// Small is the size of a small answer, in bytes; EchoSize that of a TCP request and its answer.
const (
	Small    = 128
	EchoSize = 64
)

// blockSize is after how many bytes content repeats.
const blockSize = 1 << 20

// content is what all answers are made of, with one more block so that no piece of up to a block is cut.
var content = sync.OnceValue(func() []byte {
	b := make([]byte, blockSize, 2*blockSize)
	random := rand.NewChaCha8([32]byte{22})
	_, _ = random.Read(b)
	return append(b, b...)
})

// piece is content from an offset on, at most n and at most a block.
func piece(offset, n int64) []byte {
	from := offset % blockSize
	return content()[from : from+min(n, blockSize)]
}

// verify compares what came with what was sent; got is at most a block.
func verify(got []byte, offset int64) error {
	if want := piece(offset, int64(len(got))); !bytes.Equal(got, want) {
		for i := range got {
			if got[i] != want[i] {
				return fmt.Errorf("byte %d is %#02x, sent was %#02x", offset+int64(i), got[i], want[i])
			}
		}
	}
	return nil
}
