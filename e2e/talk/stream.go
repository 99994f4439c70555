package talk

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"io"
	"math/rand/v2"
)

var table = crc64.MakeTable(crc64.ECMA)

// send writes n bytes that follow from a seed.
func send(w io.Writer, n int64, seed uint64) error {
	source := rand.NewPCG(seed, 0)
	block := make([]byte, 1<<16)
	for n > 0 {
		for i := 0; i < len(block); i += 8 {
			binary.LittleEndian.PutUint64(block[i:], source.Uint64())
		}
		part := block[:min(n, int64(len(block)))]
		if _, err := w.Write(part); err != nil {
			return err
		}
		n -= int64(len(part))
	}
	return nil
}

// sum reads n bytes and returns their CRC-64.
func sum(r io.Reader, n int64) (uint64, error) {
	h := crc64.New(table)
	if _, err := io.CopyN(h, r, n); err != nil {
		return 0, err
	}
	return h.Sum64(), nil
}

// sumOf is the sum of what send writes.
func sumOf(n int64, seed uint64) uint64 {
	h := crc64.New(table)
	_ = send(h, n, seed) // a hash takes everything
	return h.Sum64()
}

func differ(got, want uint64, what string) error {
	if got != want {
		return fmt.Errorf("%s: CRC-64 is %016x, not %016x", what, got, want)
	}
	return nil
}
