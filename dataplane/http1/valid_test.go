package http1_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/truepacs/balancer/dataplane/http1"
)

// seen is what a test reads from a request.
type seen struct {
	Method, Target, Path, Authority string
	Body                            http1.Framing
	Keep, Upgrade, Expects          bool
}

func (s seen) method(m string) seen    { s.Method = m; return s }
func (s seen) target(t string) seen    { s.Target, s.Path = t, t; return s }
func (s seen) authority(a string) seen { s.Authority = a; return s }
func (s seen) body(n int64) seen       { s.Body = http1.Framing{Kind: http1.Length, Length: n}; return s }
func (s seen) chunked() seen           { s.Body = http1.Framing{Kind: http1.Chunked}; return s }
func (s seen) closes() seen            { s.Keep = false; return s }
func (s seen) path(p string) seen      { s.Path = p; return s }
func (s seen) upgrades() seen          { s.Upgrade = true; return s }
func (s seen) expects() seen           { s.Expects = true; return s }
func get(target string) seen           { return seen{Method: "GET", Authority: "a", Keep: true}.target(target) }
func post() seen                       { return get("/").method("POST") }
func request(line string, f ...string) string {
	return line + "\r\n" + strings.Join(append(f, "", ""), "\r\n")
}

var valid = map[string]struct {
	in   string
	want seen
}{
	"plain":                        {request("GET / HTTP/1.1", "Host: a"), get("/")},
	"empty line first":             {"\r\n" + request("GET / HTTP/1.1", "Host: a"), get("/")},
	"HEAD":                         {request("HEAD / HTTP/1.1", "Host: a"), get("/").method("HEAD")},
	"DELETE":                       {request("DELETE /s/1 HTTP/1.1", "Host: a"), get("/s/1").method("DELETE")},
	"own method":                   {request("M-SEARCH / HTTP/1.1", "Host: a"), get("/").method("M-SEARCH")},
	"lower-case method":            {request("get / HTTP/1.1", "Host: a"), get("/").method("get")},
	"method of odd token chars":    {request("!#$%&'*+-.^_`|~ / HTTP/1.1", "Host: a"), get("/").method("!#$%&'*+-.^_`|~")},
	"OPTIONS of a path":            {request("OPTIONS /x HTTP/1.1", "Host: a"), get("/x").method("OPTIONS")},
	"OPTIONS of the server":        {request("OPTIONS * HTTP/1.1", "Host: a"), get("*").method("OPTIONS")},
	"CONNECT":                      {request("CONNECT a:443 HTTP/1.1", "Host: a:443"), get("a:443").method("CONNECT").path("").authority("a:443")},
	"query":                        {request("GET /q?a=1&b=2 HTTP/1.1", "Host: a"), get("/q?a=1&b=2")},
	"query only":                   {request("GET /?x HTTP/1.1", "Host: a"), get("/?x")},
	"empty query":                  {request("GET /x? HTTP/1.1", "Host: a"), get("/x?")},
	"query with question mark":     {request("GET /x?a?b HTTP/1.1", "Host: a"), get("/x?a?b")},
	"query with stray percent":     {request("GET /x?a=100% HTTP/1.1", "Host: a"), get("/x?a=100%")},
	"query with odd chars":         {request("GET /x?a={1|2}[\"^`\\] HTTP/1.1", "Host: a"), get("/x?a={1|2}[\"^`\\]")},
	"percent in path":              {request("GET /a%20b%2Fc HTTP/1.1", "Host: a"), get("/a%20b%2Fc")},
	"encoded NUL stays encoded":    {request("GET /%00 HTTP/1.1", "Host: a"), get("/%00")},
	"two slashes":                  {request("GET //x//y HTTP/1.1", "Host: a"), get("//x//y")},
	"dot segments":                 {request("GET /a/../b/./c HTTP/1.1", "Host: a"), get("/a/../b/./c")},
	"path with colon":              {request("GET /a:b HTTP/1.1", "Host: a"), get("/a:b")},
	"path with parameters":         {request("GET /a;v=1/b HTTP/1.1", "Host: a"), get("/a;v=1/b")},
	"path with URL":                {request("GET /http://b/ HTTP/1.1", "Host: a"), get("/http://b/")},
	"long path":                    {request("GET /"+strings.Repeat("x", 8000)+" HTTP/1.1", "Host: a"), get("/" + strings.Repeat("x", 8000))},
	"DICOMweb search":              {request("GET /dicom-web/studies?00100020=1.2.3&limit=5 HTTP/1.1", "Host: a"), get("/dicom-web/studies?00100020=1.2.3&limit=5")},
	"absolute form":                {request("GET http://a/x HTTP/1.1", "Host: a"), get("http://a/x").path("/x")},
	"absolute form https":          {request("GET https://a/x?y HTTP/1.1", "Host: a"), get("https://a/x?y").path("/x?y")},
	"absolute form upper case":     {request("GET HTTP://A/x HTTP/1.1", "Host: a"), get("HTTP://A/x").path("/x").authority("A")},
	"absolute form without path":   {request("GET http://a HTTP/1.1", "Host: a"), get("http://a").path("")},
	"absolute form query only":     {request("GET http://a?x HTTP/1.1", "Host: a"), get("http://a?x").path("?x")},
	"absolute form port":           {request("GET http://a:8042/ HTTP/1.1", "Host: a:8042"), get("http://a:8042/").path("/").authority("a:8042")},
	"absolute form HTTP/1.0":       {request("GET http://a/ HTTP/1.0"), get("http://a/").path("/").closes()},
	"host with port":               {request("GET / HTTP/1.1", "Host: a:8080"), get("/").authority("a:8080")},
	"host with empty port":         {request("GET / HTTP/1.1", "Host: a:"), get("/").authority("a:")},
	"host IPv4":                    {request("GET / HTTP/1.1", "Host: 192.0.2.1:80"), get("/").authority("192.0.2.1:80")},
	"host IPv6":                    {request("GET / HTTP/1.1", "Host: [2001:db8::1]"), get("/").authority("[2001:db8::1]")},
	"host IPv6 port":               {request("GET / HTTP/1.1", "Host: [::1]:80"), get("/").authority("[::1]:80")},
	"host with underscore":         {request("GET / HTTP/1.1", "Host: pacs_1.local"), get("/").authority("pacs_1.local")},
	"host with final dot":          {request("GET / HTTP/1.1", "Host: a."), get("/").authority("a.")},
	"host empty":                   {request("GET / HTTP/1.1", "Host:"), get("/").authority("")},
	"host last and lower case":     {request("GET / HTTP/1.1", "x: 1", "host:a"), get("/")},
	"host with space around":       {request("GET / HTTP/1.1", "Host: \t a \t"), get("/")},
	"HTTP/1.0 without host":        {request("GET / HTTP/1.0"), get("/").authority("").closes()},
	"HTTP/1.0 with host":           {request("GET / HTTP/1.0", "Host: a"), get("/").closes()},
	"HTTP/1.0 keep-alive":          {request("GET / HTTP/1.0", "Host: a", "Connection: Keep-Alive"), get("/")},
	"HTTP/1.0 close wins":          {request("GET / HTTP/1.0", "Host: a", "Connection: keep-alive, close"), get("/").closes()},
	"HTTP/1.0 with length":         {request("POST / HTTP/1.0", "Host: a", "Content-Length: 3"), post().body(3).closes()},
	"HTTP/1.0 expects nothing":     {request("POST / HTTP/1.0", "Host: a", "Content-Length: 3", "Expect: 100-continue"), post().body(3).closes()},
	"close":                        {request("GET / HTTP/1.1", "Host: a", "Connection: close"), get("/").closes()},
	"close in other case":          {request("GET / HTTP/1.1", "Host: a", "connection: CLOSE"), get("/").closes()},
	"close in a list":              {request("GET / HTTP/1.1", "Host: a", "Connection: x , close,"), get("/").closes()},
	"close in second field":        {request("GET / HTTP/1.1", "Host: a", "Connection: x", "Connection: close"), get("/").closes()},
	"closed is not close":          {request("GET / HTTP/1.1", "Host: a", "Connection: closed"), get("/")},
	"connection empty":             {request("GET / HTTP/1.1", "Host: a", "Connection:"), get("/")},
	"proxy-connection is ignored":  {request("GET / HTTP/1.1", "Host: a", "Proxy-Connection: close"), get("/")},
	"websocket":                    {request("GET /ws HTTP/1.1", "Host: a", "Connection: keep-alive, Upgrade", "Upgrade: websocket"), get("/ws").upgrades()},
	"upgrade not nominated":        {request("GET / HTTP/1.1", "Host: a", "Upgrade: websocket"), get("/")},
	"upgrade nominated but absent": {request("GET / HTTP/1.1", "Host: a", "Connection: upgrade"), get("/")},
	"length":                       {request("POST / HTTP/1.1", "Host: a", "Content-Length: 5"), post().body(5)},
	"length zero":                  {request("POST / HTTP/1.1", "Host: a", "Content-Length: 0"), post()},
	"length with leading zeros":    {request("POST / HTTP/1.1", "Host: a", "Content-Length: 0005"), post().body(5)},
	"length twice the same":        {request("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Content-Length: 5"), post().body(5)},
	"length of 8 EiB less one":     {request("POST / HTTP/1.1", "Host: a", "Content-Length: 9223372036854775807"), post().body(1<<63 - 1)},
	"length in GET":                {request("GET / HTTP/1.1", "Host: a", "Content-Length: 5"), get("/").body(5)},
	"chunked":                      {request("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked"), post().chunked()},
	"chunked in other case":        {request("POST / HTTP/1.1", "Host: a", "TRANSFER-ENCODING:\tChunked "), post().chunked()},
	"expects 100":                  {request("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Expect: 100-Continue"), post().body(5).expects()},
	"expects another":              {request("GET / HTTP/1.1", "Host: a", "Expect: 200-ok"), get("/")},
	"value empty":                  {request("GET / HTTP/1.1", "Host: a", "X:"), get("/")},
	"value of colons":              {request("GET / HTTP/1.1", "Host: a", "X: :a: b:"), get("/")},
	"value with tab":               {request("GET / HTTP/1.1", "Host: a", "X: a\tb"), get("/")},
	"value in UTF-8":               {request("GET / HTTP/1.1", "Host: a", "X: \xc3\xa9"), get("/")},
	"value in Latin-1":             {request("GET / HTTP/1.1", "Host: a", "X: \xe9"), get("/")},
	"name of odd token chars":      {request("GET / HTTP/1.1", "Host: a", "!#$%&'*+-.^_`|~1: x"), get("/")},
	"127 more fields":              {request("GET / HTTP/1.1", append([]string{"Host: a"}, strings.Fields(strings.Repeat("X:1 ", 127))...)...), get("/")},
	"connection does not strip":    {request("POST / HTTP/1.1", "Host: a", "Content-Length: 5", "Connection: host, content-length"), post().body(5)},
}

func TestValidRequests(t *testing.T) {
	if len(valid) < 60 {
		t.Fatalf("%d valid requests, want 60", len(valid))
	}
	var r http1.Request
	for name, tc := range valid {
		t.Run(name, func(t *testing.T) {
			for _, step := range []int{len(tc.in), 1} {
				r.Reset()
				n, err := parseInSteps(&r, tc.in, step)
				if err != nil || n != len(tc.in) {
					t.Fatalf("step %d: %d of %d bytes, error %v", step, n, len(tc.in), err)
				}
				if diff := cmp.Diff(tc.want, look(&r)); diff != "" {
					t.Errorf("step %d (-want +got):\n%s", step, diff)
				}
			}
		})
	}
}

func look(r *http1.Request) seen {
	return seen{
		Method: string(r.Bytes(r.Method)), Target: string(r.Bytes(r.Target)),
		Path: string(r.Bytes(r.Path)), Authority: string(r.Bytes(r.Authority)),
		Body: r.Body, Keep: r.KeepAlive(), Upgrade: r.Options.Upgrade, Expects: r.Expects,
	}
}

func TestHopByHopFields(t *testing.T) {
	in := request("GET / HTTP/1.1", "Host: a", "Connection: X-Own, keep-alive, host, cookie, x-forwarded-for, authorization",
		"Keep-Alive: 5", "x-own: 1", "Cookie: c=1", "X-Forwarded-For: 192.0.2.1", "Authorization: b",
		"TE: trailers", "Proxy-Connection: x", "X-Other: 1", "HTTP2-Settings: x", "Content-Length: 0")
	var r http1.Request
	if _, err := r.Parse([]byte(in), http1.Limits{}); err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, f := range r.Fields() {
		if !f.Hop {
			kept = append(kept, string(r.Bytes(f.Name)))
		}
	}
	want := []string{"Host", "Cookie", "X-Forwarded-For", "Authorization", "X-Other", "Content-Length"}
	if diff := cmp.Diff(want, kept); diff != "" {
		t.Errorf("forwarded (-want +got):\n%s", diff)
	}
}

func TestParseAllocatesNothing(t *testing.T) {
	in := []byte(request("GET /dicom-web/studies HTTP/1.1", "Host: pacs.example.org", "Accept: */*", "Cookie: a=b; c=d", "Connection: keep-alive"))
	var r http1.Request
	n := testing.AllocsPerRun(100, func() {
		r.Reset()
		if n, err := r.Parse(in, http1.Limits{}); n != len(in) || err != nil {
			t.Error(n, err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations a request, want 0", n)
	}
}

func BenchmarkParseRequest(b *testing.B) {
	in := []byte(request("GET /dicom-web/studies HTTP/1.1", "Host: pacs.example.org", "User-Agent: x/1.0", "Accept: */*",
		"Accept-Encoding: gzip, deflate", "Cookie: a=b; c=d", "Connection: keep-alive"))
	var r http1.Request
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		r.Reset()
		if n, err := r.Parse(in, http1.Limits{}); n != len(in) || err != nil {
			b.Fatal(n, err)
		}
	}
}
