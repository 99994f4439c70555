package proxyproto_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/truepacs/balancer/dataplane/proxyproto"
)

var byValue = cmpopts.EquateComparable(netip.AddrPort{})

func TestParse(t *testing.T) {
	for name, tc := range valid {
		t.Run(name, func(t *testing.T) {
			for k := range len(tc.in) {
				if _, n, err := proxyproto.Parse([]byte(tc.in[:k])); n != 0 || err != nil {
					t.Fatalf("the first %d bytes: %d, %v", k, n, err)
				}
			}
			for _, more := range []string{"", "\r\n", "PROXY TCP4", strings.Repeat("x", 5000)} {
				h, n, err := proxyproto.Parse([]byte(tc.in + more))
				if err != nil || n != len(tc.in) {
					t.Fatalf("before %.10q: %d of %d bytes, %v", more, n, len(tc.in), err)
				}
				if diff := cmp.Diff(tc.want, h, byValue); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, tc := range invalid {
		t.Run(name, func(t *testing.T) {
			h, n, err := proxyproto.Parse([]byte(tc.in))
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("%v, want %q", err, tc.says)
			}
			if n != 0 || h != (proxyproto.Header{}) {
				t.Errorf("%d bytes, %+v beside the error", n, h)
			}
		})
	}
}

// TestAppend holds what is written against the specification's examples and against the parser.
func TestAppend(t *testing.T) {
	none := netip.AddrPort{}
	at := netip.MustParseAddrPort
	cases := map[string]struct {
		version             proxyproto.Version
		source, destination netip.AddrPort
		want                string
	}{
		"line":                {1, at("192.168.0.1:56324"), at("192.168.0.11:443"), "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"},
		"line, IPv6":          {1, at("[2001:db8::1]:1234"), at("[2001:db8::64]:443"), "PROXY TCP6 2001:db8::1 2001:db8::64 1234 443\r\n"},
		"line, both mapped":   {1, at("[::ffff:10.0.0.1]:1234"), at("[::ffff:192.0.2.100]:443"), "PROXY TCP4 10.0.0.1 192.0.2.100 1234 443\r\n"},
		"line, two families":  {1, at("10.0.0.1:1234"), at("[2001:db8::64]:443"), "PROXY TCP6 ::ffff:10.0.0.1 2001:db8::64 1234 443\r\n"},
		"line, zone":          {1, at("[fe80::1%eth0]:1234"), at("[fe80::2%eth0]:443"), "PROXY TCP6 fe80::1 fe80::2 1234 443\r\n"},
		"line without":        {1, none, at("192.0.2.100:443"), "PROXY UNKNOWN\r\n"},
		"binary":              {2, at("10.0.0.1:1234"), at("192.0.2.100:443"), v2(0x21, 0x11, four)},
		"binary, IPv6":        {2, at("[2001:db8::1]:1234"), at("[2001:db8::64]:443"), v2(0x21, 0x21, six)},
		"binary, mapped":      {2, at("[::ffff:10.0.0.1]:1234"), at("192.0.2.100:443"), v2(0x21, 0x11, four)},
		"binary, 2 families":  {2, at("[2001:db8::1]:1234"), at("10.0.0.1:443"), v2(0x21, 0x21, six[:16], strings.Repeat("\x00", 10), "\xff\xff\x0a\x00\x00\x01", six[32:])},
		"binary without":      {2, at("10.0.0.1:1234"), none, v2(0x20, 0x00)},
		"neither":             {0, at("10.0.0.1:1234"), at("192.0.2.100:443"), ""},
		"the longest is told": {1, at("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"), at("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535"), valid["line, longest"].in},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := tc.version.Append([]byte("before"), tc.source, tc.destination)
			if diff := cmp.Diff("before"+tc.want, string(got)); diff != "" {
				t.Error(diff)
			}
			if len(tc.want) > proxyproto.MaxAppended {
				t.Errorf("%d bytes, at most %d are promised", len(tc.want), proxyproto.MaxAppended)
			}
		})
	}
	if n := len(valid["line, longest"].in); n != proxyproto.MaxAppended {
		t.Errorf("the longest has %d bytes, %d are promised", n, proxyproto.MaxAppended)
	}
}

// Connections are many: the binary header, which is the one to use, costs no memory on either side.
func TestMemory(t *testing.T) {
	in := []byte(valid["checksum"].in)
	out := make([]byte, 0, proxyproto.MaxAppended)
	from, to := netip.MustParseAddrPort("[2001:db8::1]:1234"), netip.MustParseAddrPort("[2001:db8::64]:443")
	n := testing.AllocsPerRun(100, func() {
		if _, n, err := proxyproto.Parse(in); n == 0 || err != nil {
			t.Fatal(n, err)
		}
		out = proxyproto.V2.Append(proxyproto.V1.Append(out[:0], from, to)[:0], from, to)
	})
	if n != 0 {
		t.Errorf("%.0f allocations, want none", n)
	}
}

func TestVersionOf(t *testing.T) {
	for name, want := range map[string]proxyproto.Version{"": 0, "V1": proxyproto.V1, "V2": proxyproto.V2} {
		if v, ok := proxyproto.VersionOf(name); v != want || !ok {
			t.Errorf("%q is %d, %v; want %d", name, v, ok, want)
		}
	}
	for _, name := range []string{"v1", "V3", "V2 "} {
		if v, ok := proxyproto.VersionOf(name); v != 0 || ok {
			t.Errorf("%q is %d", name, v)
		}
	}
}
