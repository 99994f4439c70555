package procfs

import (
	"net/netip"
)

// line is what is left of a line; methods cut values off its front. After the first that is not
// there bad is set and the rest of the values are zero.
type line struct {
	rest []byte
	bad  bool
}

// literal cuts off a text.
func (l *line) literal(text string) {
	if !l.has(text) {
		l.bad = true
	}
}

// has cuts off a text if it is there.
func (l *line) has(text string) bool {
	if l.bad || len(l.rest) < len(text) || string(l.rest[:len(text)]) != text {
		return false
	}
	l.rest = l.rest[len(text):]
	return true
}

// end wants nothing to be left.
func (l *line) end() { l.bad = l.bad || len(l.rest) > 0 }

// spaces cuts off at least one space.
func (l *line) spaces() {
	n := 0
	for n < len(l.rest) && l.rest[n] == ' ' {
		n++
	}
	l.bad = l.bad || n == 0
	l.rest = l.rest[n:]
}

// word cuts off 1 to most printable characters up to a space or the end.
func (l *line) word(most int) []byte {
	n := 0
	for n < len(l.rest) && l.rest[n] > ' ' && l.rest[n] <= '~' {
		n++
	}
	if n == 0 || n > most || n < len(l.rest) && l.rest[n] != ' ' {
		l.bad = true
	}
	if l.bad {
		return nil
	}
	word := l.rest[:n]
	l.rest = l.rest[n:]
	return word
}

// hex cuts off exactly so many digits, capital ones as %X writes them or small ones as %x.
func (l *line) hex(digits int, ten byte) (value uint32) {
	if l.bad || len(l.rest) < digits {
		l.bad = true
		return 0
	}
	for _, c := range l.rest[:digits] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= ten && c < ten+6:
			c = c - ten + 10
		default:
			l.bad = true
			return 0
		}
		value = value<<4 | uint32(c)
	}
	l.rest = l.rest[digits:]
	return value
}

// decimal cuts off a number in the form of %d: no sign but a minus, no leading zeros.
func (l *line) decimal() (value int64) {
	negative := l.has("-")
	n := 0
	for n < len(l.rest) && n < 11 && l.rest[n] >= '0' && l.rest[n] <= '9' {
		value = value*10 + int64(l.rest[n]-'0')
		n++
	}
	if n == 0 || n > 10 || n > 1 && l.rest[0] == '0' || negative && value == 0 {
		l.bad = true
	}
	if l.bad {
		return 0
	}
	l.rest = l.rest[n:]
	if negative {
		return -value
	}
	return value
}

// count cuts off a number of 0 to most.
func (l *line) count(most int64) int64 {
	value := l.decimal()
	if value < 0 || value > most {
		l.bad = true
		return 0
	}
	return value
}

// ipv4 cuts off eight digits (%08X).
func (l *line) ipv4() netip.Addr {
	v := l.hex(8, 'A')
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}

// ipv6 cuts off eight groups of four digits (%pI6).
func (l *line) ipv6() netip.Addr {
	var b [16]byte
	for i := 0; i < len(b); i += 2 {
		if i > 0 {
			l.literal(":")
		}
		v := l.hex(4, 'a')
		b[i], b[i+1] = byte(v>>8), byte(v)
	}
	return netip.AddrFrom16(b)
}

// endpoint cuts off address and port as ip_vs writes them: 0A000001:0050, [fd00:...]:0050.
func (l *line) endpoint() netip.AddrPort {
	var address netip.Addr
	if l.has("[") {
		address = l.ipv6()
		l.literal("]")
	} else {
		address = l.ipv4()
	}
	l.literal(":")
	return l.withPort(address)
}

func (l *line) withPort(address netip.Addr) netip.AddrPort {
	port := uint16(l.hex(4, 'A'))
	if l.bad {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(address, port)
}

// bare cuts off address and port as ip_vs_conn writes them: 0A000001 0050, fd00:... 0050.
func (l *line) bare() netip.AddrPort {
	var address netip.Addr
	if len(l.rest) > 4 && l.rest[4] == ':' {
		address = l.ipv6()
	} else {
		address = l.ipv4()
	}
	l.literal(" ")
	return l.withPort(address)
}
