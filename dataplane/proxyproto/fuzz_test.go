package proxyproto_test

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/proxyproto"
)

func seed(f *testing.F) {
	for _, tc := range valid {
		f.Add([]byte(tc.in))
	}
	for _, tc := range invalid {
		f.Add([]byte(tc.in))
	}
}

// FuzzParse checks that the verdict does not depend on how the bytes are cut nor on what comes behind, and that a
// header that is written again says the same.
func FuzzParse(f *testing.F) {
	seed(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		h, n, err := proxyproto.Parse(in)
		if err != nil && (n != 0 || h != proxyproto.Header{}) || n > len(in) || n > proxyproto.MaxSize {
			t.Fatalf("%d of %d bytes, %+v, %v", n, len(in), h, err)
		}
		if n == 0 && err == nil && len(in) >= proxyproto.MaxSize {
			t.Fatalf("%d bytes are not enough", len(in))
		}
		for k := range min(len(in), 300) {
			switch _, m, early := proxyproto.Parse(in[:k]); {
			case early != nil && err == nil:
				t.Fatalf("%d bytes are refused (%v), %d are not", k, early, len(in))
			case m != 0 && m != n:
				t.Fatalf("of %d bytes the header has %d, of %d bytes %d", k, m, len(in), n)
			case early == nil && m == 0 && n > 0 && k >= n:
				t.Fatalf("%d bytes are not enough for a header of %d", k, n)
			}
		}
		if n == 0 {
			return
		}
		if again, m, err := proxyproto.Parse(in[:n]); again != h || m != n || err != nil {
			t.Fatalf("without what follows: %+v, %d, %v", again, m, err)
		}
		for _, v := range []proxyproto.Version{proxyproto.V1, proxyproto.V2} {
			out := v.Append(nil, h.Source, h.Destination)
			again, m, err := proxyproto.Parse(out)
			if err != nil || m != len(out) || again.Version != v || unmapped(again) != unmapped(h) {
				t.Fatalf("written as version %d it is %q: %+v, %d, %v; was %+v", v, out, again, m, err, h)
			}
		}
	})
}

func unmapped(h proxyproto.Header) [2]netip.AddrPort {
	if !h.Source.IsValid() {
		return [2]netip.AddrPort{}
	}
	return [2]netip.AddrPort{
		netip.AddrPortFrom(h.Source.Addr().Unmap(), h.Source.Port()),
		netip.AddrPortFrom(h.Destination.Addr().Unmap(), h.Destination.Port()),
	}
}

// grammar is section 2.1 of the specification, but for what an IPv6 address is.
var grammar = regexp.MustCompile(`^PROXY (?:UNKNOWN(?: [^\r\n]*)?|(TCP[46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n`)

// FuzzLine holds lines against the grammar of the specification.
func FuzzLine(f *testing.F) {
	for _, tc := range valid {
		if tc.want.Version == proxyproto.V1 {
			f.Add(tc.in)
		}
	}
	for _, tc := range invalid {
		f.Add(tc.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		if !strings.HasPrefix(in, "PROXY ") {
			return
		}
		h, n, _ := proxyproto.Parse([]byte(in))
		m := grammar.FindStringSubmatch(in)
		ok := m != nil && len(m[0]) <= 107
		want := proxyproto.Header{Version: proxyproto.V1}
		if ok && m[1] != "" {
			var source, destination bool
			want.Source, source = join(m[1], m[2], m[4])
			want.Destination, destination = join(m[1], m[3], m[5])
			ok = source && destination
		}
		if ok != (n > 0) || ok && (h != want || n != len(m[0])) {
			t.Fatalf("%q: %d, %+v; by the grammar %v %+v", in, n, h, ok, want)
		}
	})
}

func join(protocol, address, port string) (netip.AddrPort, bool) {
	a, err := netip.ParseAddr(address)
	p, err2 := strconv.ParseUint(port, 10, 16)
	return netip.AddrPortFrom(a, uint16(p)), err == nil && err2 == nil && a.Is4() == (protocol == "TCP4")
}
