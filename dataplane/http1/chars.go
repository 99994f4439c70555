package http1

// Classes of octets, RFC 9110 section 5.6.2 and 5.5, RFC 3986 section 3.
const (
	classToken  = 1 << iota // tchar
	classValue              // field-vchar, SP and HTAB
	classTarget             // VCHAR without the fragment mark
	classHost               // what a registered name or port may hold: letters, digits, - . _ ~
	classHex
	classDigit
)

// octets maps each octet to its classes.
var octets = func() (t [256]uint8) {
	for c := range 256 {
		alpha := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		digit := '0' <= c && c <= '9'
		if alpha || digit || containsByte("!#$%&'*+-.^_`|~", c) {
			t[c] |= classToken
		}
		if c == '\t' || c >= ' ' && c != 0x7f {
			t[c] |= classValue
		}
		if c > ' ' && c < 0x7f && c != '#' {
			t[c] |= classTarget
		}
		if alpha || digit || containsByte("-._~", c) {
			t[c] |= classHost
		}
		if digit {
			t[c] |= classDigit | classHex
		}
		if 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F' {
			t[c] |= classHex
		}
	}
	return t
}()

func containsByte(set string, c int) bool {
	for i := range len(set) {
		if int(set[i]) == c {
			return true
		}
	}
	return false
}

// all tells whether every octet of b is of the class; true for an empty b.
func all(b []byte, class uint8) bool {
	for _, c := range b {
		if octets[c]&class == 0 {
			return false
		}
	}
	return true
}

// IsToken tells whether s is a token (RFC 9110 section 5.6.2), as method and field names are.
func IsToken[S []byte | string](s S) bool {
	for i := range len(s) {
		if octets[s[i]]&classToken == 0 {
			return false
		}
	}
	return len(s) > 0
}

// IsValue tells whether s can stand as a field value as it is: no control octet but HTAB, no
// white space at either end.
func IsValue(s string) bool {
	for i := range len(s) {
		if octets[s[i]]&classValue == 0 {
			return false
		}
	}
	return s == "" || !isSpace(s[0]) && !isSpace(s[len(s)-1])
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' }

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// EqualFold compares ASCII without case; s need not be lower case. It allocates nothing.
func EqualFold(b []byte, s string) bool {
	if len(b) != len(s) {
		return false
	}
	for i, c := range b {
		if c != s[i] && lower(c) != lower(s[i]) {
			return false
		}
	}
	return true
}

func equalFoldBytes(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

// trim takes optional white space (RFC 9110 section 5.6.3) off both ends of buf[from:to].
func trim(buf []byte, from, to int) (int, int) {
	for from < to && isSpace(buf[from]) {
		from++
	}
	for to > from && isSpace(buf[to-1]) {
		to--
	}
	return from, to
}

// parseDigits reads 1*DIGIT up to 2^63-1: no sign, list, space or overflow.
func parseDigits(b []byte) (int64, bool) {
	const most = 1<<63 - 1
	if len(b) == 0 {
		return 0, false
	}
	var n int64
	for _, c := range b {
		if octets[c]&classDigit == 0 {
			return 0, false
		}
		d := int64(c - '0')
		if n > (most-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}
