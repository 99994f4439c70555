package savings

import (
	"bytes"
	"testing"
)

func TestTheOuterHeaderGoes(t *testing.T) {
	header := func(words byte) []byte {
		b := make([]byte, 4*words)
		b[0] = 4<<4 | words
		return b
	}
	room := make([]byte, virtioHeader)
	inner := append(header(5), "payload"...)
	for name, tc := range map[string]struct {
		outer, inner []byte
		want         bool
	}{
		"plain":           {header(5), inner, true},
		"options":         {header(7), inner, true},
		"nothing in it":   {header(5), nil, false},
		"half a header":   {header(5), inner[:19], false},
		"IPv6 in it":      {header(5), append([]byte{0x60}, make([]byte, 39)...), false},
		"length of three": {append([]byte{0x43}, make([]byte, 19)...), inner, false},
	} {
		t.Run(name, func(t *testing.T) {
			got := innerPacket(bytes.Join([][]byte{room, tc.outer, tc.inner}, nil))
			if (got != nil) != tc.want {
				t.Fatalf("got %x", got)
			}
			if tc.want && (got[0] != checksumGood || !bytes.Equal(got[virtioHeader:], tc.inner)) {
				t.Errorf("got %x, want %x after a header", got, tc.inner)
			}
		})
	}
}
