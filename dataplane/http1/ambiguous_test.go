package http1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/http1"
)

// ambiguous are requests that two readers could take in two ways, or that no reader should take;
// the value is the status to answer.
var ambiguous = map[string]struct {
	in     string
	status int
}{
	"length and chunked":                 {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	"chunked and length":                 {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
	"chunked and zero length":            {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n", 400},
	"identity coding":                    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400},
	"gzip then chunked":                  {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
	"identity then chunked":              {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity,chunked\r\n\r\n", 501},
	"chunked, gzip and chunked":          {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip, chunked\r\n\r\n", 400},
	"chunked with leading comma":         {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked\r\n\r\n", 400},
	"chunked then identity":              {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400},
	"chunked twice in a list":            {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n", 400},
	"chunked in two fields":              {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	"chunked and identity in two fields": {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n", 400},
	"empty transfer coding":              {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400},
	"chunked with parameter":             {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;q=1\r\n\r\n", 400},
	"chunked with trailing comma":        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked,\r\n\r\n", 400},
	"chunked quoted":                     {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \"chunked\"\r\n\r\n", 400},
	"xchunked":                           {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 400},
	"vertical tab before chunked":        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \vchunked\r\n\r\n", 400},
	"chunked in HTTP/1.0":                {"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
	"space before colon of coding":       {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n", 400},
	"tab before colon of length":         {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length\t: 5\r\n\r\n", 400},
	"lengths differ":                     {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
	"lengths written differently":        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 05\r\n\r\n", 400},
	"length list of equals":              {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\n", 400},
	"length list of others":              {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5,6\r\n\r\n", 400},
	"length with plus":                   {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\n", 400},
	"length with minus":                  {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\n", 400},
	"length minus zero":                  {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -0\r\n\r\n", 400},
	"length in hex":                      {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\n", 400},
	"length with underscore":             {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1_0\r\n\r\n", 400},
	"length with inner space":            {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 0\r\n\r\n", 400},
	"length with fraction":               {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5.0\r\n\r\n", 400},
	"length empty":                       {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400},
	"length over 63 bits":                {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n", 400},
	"length over 64 bits":                {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551621\r\n\r\n", 400},
	"length word":                        {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: five\r\n\r\n", 400},
	"length in other digits":             {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \xd9\xa5\r\n\r\n", 400},
	"folded value with space":            {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400},
	"folded value with tab":              {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n\r\n", 400},
	"space before first field":           {"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400},
	"bare LF after request line":         {"GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
	"bare LF after field":                {"GET / HTTP/1.1\r\nHost: a\nX: 1\r\n\r\n", 400},
	"bare LF at the end":                 {"GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
	"bare LF first":                      {"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"bare CR in value":                   {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r2\r\n\r\n", 400},
	"bare CR before name":                {"GET / HTTP/1.1\r\nHost: a\r\n\rX: 1\r\n\r\n", 400},
	"double CR":                          {"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400},
	"NUL in value":                       {"GET / HTTP/1.1\r\nHost: a\r\nX: 1\x002\r\n\r\n", 400},
	"NUL in name":                        {"GET / HTTP/1.1\r\nHost: a\r\nX\x00: 1\r\n\r\n", 400},
	"NUL in target":                      {"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"DEL in value":                       {"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n", 400},
	"escape in value":                    {"GET / HTTP/1.1\r\nHost: a\r\nX: \x1b[0m\r\n\r\n", 400},
	"empty field name":                   {"GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n", 400},
	"field without colon":                {"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400},
	"slash in field name":                {"GET / HTTP/1.1\r\nHost: a\r\nX/Y: 1\r\n\r\n", 400},
	"non-ASCII in field name":            {"GET / HTTP/1.1\r\nHost: a\r\nX\xc3\xa9: 1\r\n\r\n", 400},
	"brace in field name":                {"GET / HTTP/1.1\r\nHost: a\r\n{X}: 1\r\n\r\n", 400},
	"no host":                            {"GET / HTTP/1.1\r\nX: 1\r\n\r\n", 400},
	"two hosts":                          {"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
	"two equal hosts":                    {"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", 400},
	"two hosts in HTTP/1.0":              {"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
	"host with space":                    {"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
	"host with path":                     {"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
	"host with user":                     {"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
	"host list":                          {"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
	"host with word as port":             {"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400},
	"host with large port":               {"GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400},
	"host with open bracket":             {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
	"host in brackets no address":        {"GET / HTTP/1.1\r\nHost: [a]\r\n\r\n", 400},
	"host differs from target":           {"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", 400},
	"host port differs from target":      {"GET http://a:80/ HTTP/1.1\r\nHost: a:81\r\n\r\n", 400},
	"user in target":                     {"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"empty host in target":               {"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"other scheme in target":             {"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"relative target":                    {"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"asterisk for GET":                   {"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"fragment in target":                 {"GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"space in target":                    {"GET /x y HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"tab in target":                      {"GET /x\ty HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"non-ASCII in target":                {"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"bad percent in path":                {"GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"cut percent in path":                {"GET /% HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"two spaces after method":            {"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"two spaces before version":          {"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"space after version":                {"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400},
	"space before method":                {" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"two empty lines first":              {"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"HTTP/0.9":                           {"GET /\r\n\r\n", 400},
	"HTTP/1.2":                           {"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
	"HTTP/2.0 preface":                   {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
	"HTTP/1.10":                          {"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400},
	"HTTP/01.1":                          {"GET / HTTP/01.1\r\nHost: a\r\n\r\n", 400},
	"lower-case http":                    {"GET / http/1.1\r\nHost: a\r\n\r\n", 400},
	"other protocol":                     {"GET / ICAP/1.0\r\nHost: a\r\n\r\n", 400},
	"method with colon":                  {"GE:T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"method empty":                       {" / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"TLS hello":                          {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400},
	"CONNECT without port":               {"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"CONNECT with path":                  {"CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	"CONNECT with length":                {"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\nContent-Length: 1\r\n\r\n", 400},
	"too many fields":                    {"GET / HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X: 1\r\n", 128) + "\r\n", 431},
	"head too large":                     {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("1", 32<<10) + "\r\n\r\n", 431},
	"request line without end":           {"GET /" + strings.Repeat("x", 32<<10), 414},
	"target too large":                   {"GET /" + strings.Repeat("x", 32<<10) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
}

func TestAmbiguousRequestsAreRefused(t *testing.T) {
	if len(ambiguous) < 60 {
		t.Fatalf("%d ambiguous requests, want 60", len(ambiguous))
	}
	for name, tc := range ambiguous {
		t.Run(name, func(t *testing.T) {
			for _, step := range []int{len(tc.in), 1} {
				var r http1.Request
				n, err := parseInSteps(&r, tc.in, step)
				var refused *http1.Error
				if !errors.As(err, &refused) {
					t.Fatalf("step %d: accepted %d of %d bytes, error %v", step, n, len(tc.in), err)
				}
				if refused.Status != tc.status {
					t.Errorf("step %d: status %d (%v), want %d", step, refused.Status, err, tc.status)
				}
			}
		})
	}
}

// parseInSteps feeds the parser a growing buffer, at a new address each time.
func parseInSteps(r *http1.Request, in string, step int) (int, error) {
	for have := min(step, len(in)); ; have = min(have+step, len(in)) {
		n, err := r.Parse([]byte(in[:have]), http1.Limits{})
		if n > 0 || err != nil || have == len(in) {
			return n, err
		}
	}
}
