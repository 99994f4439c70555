package outside

import (
	"encoding/binary"
	"net/netip"
	"testing"
)

// answering makes an answer of a question: source and destination exchanged.
func answering(question []byte, flags byte) []byte {
	b := append([]byte{}, question...)
	header := length4
	if b[0]>>4 == 6 {
		header = length6
		copy(b[8:], question[24:40])
		copy(b[24:], question[8:24])
	} else {
		copy(b[12:], question[16:20])
		copy(b[16:], question[12:16])
	}
	tcp := b[header:]
	copy(tcp, question[header+2:header+4])
	copy(tcp[2:], question[header:header+2])
	binary.BigEndian.PutUint32(tcp[8:], binary.BigEndian.Uint32(question[header+4:])+1)
	tcp[13] = flags
	return b
}

func TestAnswersAreRead(t *testing.T) {
	tests := map[string]struct {
		flags byte
		want  Answer
		ok    bool
	}{
		"open":       {flagSYN | flagACK, Open, true},
		"closed":     {flagRST | flagACK, Closed, true},
		"a question": {flagSYN, Silent, false},
		"data":       {flagACK, Silent, false},
	}
	for name, tc := range tests {
		for _, pair := range [][2]string{{"192.0.2.2:1025", "192.0.2.100:104"}, {"[2001:db8::2]:1025", "[2001:db8::100]:104"}} {
			own, vip := netip.MustParseAddrPort(pair[0]), netip.MustParseAddrPort(pair[1])
			from, to, got, acknowledged, ok := parse(answering(syn(own, vip, 1<<32-1), tc.flags))
			if ok != tc.ok || got != tc.want || ok && (from != vip || to != own || acknowledged != 0) {
				t.Errorf("%s: %s > %s %v %d %v", name, from, to, got, acknowledged, ok)
			}
		}
	}
}

// TestQuestionsGoNoFurther: a server that forwards must not pass a question on.
func TestQuestionsGoNoFurther(t *testing.T) {
	four := syn(netip.MustParseAddrPort("192.0.2.2:1025"), netip.MustParseAddrPort("192.0.2.100:104"), 7)
	six := syn(netip.MustParseAddrPort("[2001:db8::2]:1025"), netip.MustParseAddrPort("[2001:db8::100]:104"), 7)
	if four[8] != 1 || six[7] != 1 {
		t.Errorf("hop limits %d and %d, want 1", four[8], six[7])
	}
}

func FuzzParse(f *testing.F) {
	for _, pair := range [][2]string{{"192.0.2.2:1025", "192.0.2.100:104"}, {"[2001:db8::2]:1025", "[2001:db8::100]:104"}} {
		b := answering(syn(netip.MustParseAddrPort(pair[0]), netip.MustParseAddrPort(pair[1]), 7), flagSYN|flagACK)
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add([]byte{0x4f})
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		from, to, answer, _, ok := parse(b)
		if ok && (!from.Addr().IsValid() || from.Addr().Is4() != to.Addr().Is4() || answer == Silent) {
			t.Errorf("%s > %s %v", from, to, answer)
		}
	})
}
