package l7_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
)

// echo answers with what it saw.
func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusTeapot)
		return
	}
	w.Header().Set("X-Saw", fmt.Sprintf("%s %s %s %d %v", r.Method, r.RequestURI, r.Host, r.ContentLength, r.TransferEncoding))
	w.Write(b)
}

func TestMethodsAndBodies(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, echo)).apply()
	c := r.client()
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	for name, tc := range map[string]struct {
		method, path string
		body         []byte
		chunked      bool
		saw          string
	}{
		"GET":            {"GET", "/a?b=c%20d&e", nil, false, "GET /a?b=c%20d&e HOST 0 []"},
		"POST small":     {"POST", "/", []byte("hello"), false, "POST / HOST 5 []"},
		"POST empty":     {"POST", "/", []byte{}, false, "POST / HOST 0 []"},
		"POST big":       {"POST", "/", big, false, fmt.Sprintf("POST / HOST %d []", len(big))},
		"chunked small":  {"POST", "/", []byte("hello"), true, "POST / HOST -1 [chunked]"},
		"chunked big":    {"PUT", "/", big, true, "PUT / HOST -1 [chunked]"},
		"DELETE":         {"DELETE", "/x", nil, false, "DELETE /x HOST 0 []"},
		"OPTIONS":        {"OPTIONS", "/x", nil, false, "OPTIONS /x HOST 0 []"},
		"PROPFIND":       {"PROPFIND", "/x", []byte("<x/>"), false, "PROPFIND /x HOST 4 []"},
		"GET with body":  {"GET", "/x", []byte("q"), false, "GET /x HOST 1 []"},
		"encoded path":   {"GET", "/a%2Fb//c/../d", nil, false, "GET /a%2Fb//c/../d HOST 0 []"},
		"PATCH one byte": {"PATCH", "/x", []byte("q"), true, "PATCH /x HOST -1 [chunked]"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 3 { // the second and third on connections used before
				var body io.Reader
				if tc.body != nil {
					body = bytes.NewReader(tc.body)
				}
				if tc.chunked {
					body = io.MultiReader(body) // hides the length
				}
				req, err := http.NewRequest(tc.method, r.url()+tc.path, body)
				if err != nil {
					t.Fatal(err)
				}
				res, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || sha256.Sum256(got) != sha256.Sum256(tc.body) {
					t.Fatalf("body of %d bytes, want %d: %v", len(got), len(tc.body), err)
				}
				if saw := strings.Replace(res.Header.Get("X-Saw"), r.addr(), "HOST", 1); saw != tc.saw {
					t.Errorf("server saw %q, want %q", saw, tc.saw)
				}
			}
		})
	}
	if st := r.engine.Stats(); st.Servers[0].Total >= 36 || st.Listeners[0].Total >= 36 || st.Listeners[0].Requests != 36 {
		t.Errorf("connections are not reused: %+v", st)
	}
}

// RFC 9112 section 3.2.4: a question to the server as a whole stays one, in both of its forms and past every route.
func TestOptionsOfTheServer(t *testing.T) {
	r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		for h := head(t, rd); h != ""; h = head(t, rd) {
			line, _, _ := strings.Cut(h, "\r\n")
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Saw: %s\r\n\r\n", line)
		}
	}))
	to := "/dicomweb"
	r.web().Routes = []model.Route{{Name: "all", PathPrefixes: []string{"/"}, Pool: "main", RewritePrefix: &to}}
	c := dialRaw(t, r.apply().addr())
	for line, want := range map[string]string{
		"OPTIONS *":            "OPTIONS *",
		"OPTIONS http://a":     "OPTIONS *",
		"OPTIONS http://a/":    "OPTIONS /dicomweb/",
		"OPTIONS http://a?x=y": "OPTIONS /dicomweb?x=y",
		"GET http://a":         "GET /dicomweb",
	} {
		res, _ := c.send(line + " HTTP/1.1\r\nHost: a\r\n\r\n").response("OPTIONS")
		if saw := res.Header.Get("X-Saw"); saw != want+" HTTP/1.1" {
			t.Errorf("%s: the server saw %q, want %q", line, saw, want)
		}
	}
}

func TestHeadAndBodilessStatuses(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/204":
			w.WriteHeader(204)
		case "/304":
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(304)
		default:
			w.Header().Set("Content-Length", "1234")
			w.Write(make([]byte, 1234))
		}
	})).apply()
	c := dialRaw(t, r.addr())
	for range 2 {
		res, _ := c.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").response("HEAD")
		if res.ContentLength != 1234 {
			t.Errorf("length of HEAD %d, want 1234", res.ContentLength)
		}
		for _, status := range []int{204, 304} {
			if res, _ := c.send(fmt.Sprintf("GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", status)).response("GET"); res.StatusCode != status {
				t.Errorf("status %d, want %d", res.StatusCode, status)
			}
		}
	}
}

func TestPipelinedRequestsAreAnsweredInOrder(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, echo)).apply()
	c := dialRaw(t, r.addr())
	var all strings.Builder
	const n = 60
	for i := range n {
		switch i % 3 {
		case 0:
			fmt.Fprintf(&all, "GET /%d HTTP/1.1\r\nHost: a\r\n\r\n", i)
		case 1:
			fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", i)
		default:
			fmt.Fprintf(&all, "POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", i)
		}
	}
	c.send(all.String())
	for i := range n {
		res, body := c.response("POST")
		if !strings.Contains(res.Header.Get("X-Saw"), fmt.Sprintf(" /%d ", i)) || i%3 > 0 && body != "abc" {
			t.Fatalf("answer %d is %q %q", i, res.Header.Get("X-Saw"), body)
		}
	}
}

// A chunked body that comes in pieces, with the next request right behind it.
func TestPipeliningBehindStreamedBody(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, echo)).apply()
	c := dialRaw(t, r.addr())
	c.send("POST /1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab")
	big := strings.Repeat("x", 100_000)
	eventually(t, "the request is on its way", func() bool { return r.engine.Stats().Servers[0].Requests == 1 })
	c.send(fmt.Sprintf("c\r\n%x\r\n%s\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n", len(big), big))
	if _, body := c.response("POST"); body != "abc"+big {
		t.Errorf("body of %d bytes", len(body))
	}
	for _, want := range []string{" /2 ", " /3 "} {
		if res, _ := c.response("GET"); !strings.Contains(res.Header.Get("X-Saw"), want) {
			t.Errorf("saw %q, want %q", res.Header.Get("X-Saw"), want)
		}
	}
}

// A large body ends where its length says, however much is waiting behind it: the next request
// on one side, what nobody asked for on the other.
func TestLargeBodiesEndInTime(t *testing.T) {
	body := strings.Repeat("pixel", 200_000)
	r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		for head(t, rd) != "" {
			io.CopyN(io.Discard, rd, int64(len(body)))
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s%s", len(body), body, strings.Repeat("poison", 100_000))
		}
	})).apply()
	c := dialRaw(t, r.addr())
	request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	go io.WriteString(c.Conn, strings.Repeat(request, 5))
	for i := range 5 {
		if res, got := c.response("POST"); res.StatusCode != 200 || got != body {
			t.Fatalf("answer %d: %d, %d bytes of %d", i, res.StatusCode, len(got), len(body))
		}
	}
	if n := r.engine.Stats().Servers[0].Total; n != 5 {
		t.Errorf("%d server connections, want 5: none may be used again", n)
	}
}

func TestTrailers(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Sum")
		io.WriteString(w, "body")
		w.(http.Flusher).Flush()
		w.Header().Set("X-Sum", "got "+r.Trailer.Get("X-Up"))
	})).apply()
	req, _ := http.NewRequest("POST", r.url(), io.MultiReader(strings.NewReader("x")))
	req.Trailer = http.Header{"X-Up": {"42"}}
	res, err := r.client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, res.Body)
	if got := res.Trailer.Get("X-Sum"); got != "got 42" {
		t.Errorf("trailer %q, want %q", got, "got 42")
	}
}

func TestHTTP10Client(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Proto+" "+r.Host+" ")
		w.(http.Flusher).Flush() // makes the answer chunked
		io.WriteString(w, "end")
	})).apply()
	c := dialRaw(t, r.addr()).send("GET / HTTP/1.0\r\n\r\n")
	h := head(t, c.Reader)
	if strings.Contains(h, "Transfer-Encoding") || !strings.Contains(h, "Connection: close\r\n") {
		t.Errorf("head for HTTP/1.0 client:\n%s", h)
	}
	if b, err := io.ReadAll(c.Reader); err != nil || string(b) != "HTTP/1.1 "+r.addr()+" end" {
		t.Errorf("body %q, %v", b, err)
	}
}

func TestHTTP10KeepAlive(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, echo)).apply()
	c := dialRaw(t, r.addr())
	for range 3 {
		res, body := c.send("POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi").response("POST")
		if body != "hi" || res.Header.Get("Connection") != "keep-alive" {
			t.Fatalf("%q, %v", body, res.Header)
		}
	}
}

func TestConnectionCloseIsObeyed(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, echo)).apply()
	c := dialRaw(t, r.addr())
	res, _ := c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").response("GET")
	if !res.Close {
		t.Error("answer does not say Connection: close")
	}
	c.ended()
}

// A response that ends with the server's connection.
func TestResponseUntilClose(t *testing.T) {
	for name, version := range map[string]string{"1.0": "HTTP/1.0", "1.1": "HTTP/1.1"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
				head(t, rd)
				io.WriteString(c, version+" 200 OK\r\nContent-Type: multipart/related\r\n\r\npart one ")
				io.WriteString(c, "part two")
			})).apply()
			c := r.client()
			for range 2 {
				if status, body := get(t, c, r.url()); status != 200 || body != "part one part two" {
					t.Errorf("%d %q", status, body)
				}
			}
			if n := r.engine.Stats().Listeners[0].Total; n != 1 {
				t.Errorf("%d client connections, want 1", n)
			}
		})
	}
}

func TestContinue(t *testing.T) {
	read := make(chan struct{})
	r := newRig(t, l7.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		<-read // the client must not have sent anything before
		echo(w, r)
	})).apply()
	c := dialRaw(t, r.addr())
	for range 2 {
		c.send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		read <- struct{}{}
		if h := head(t, c.Reader); h != "HTTP/1.1 100 Continue\r\n\r\n" {
			t.Fatalf("interim response %q", h)
		}
		if _, body := c.send("hello").response("POST"); body != "hello" {
			t.Errorf("body %q", body)
		}
	}
}

// The server refuses without closing: the client may or may not send its body then, so the
// connection cannot go on.
func TestContinueRefused(t *testing.T) {
	r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		head(t, rd)
		io.WriteString(c, "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 3\r\n\r\nno\n")
		io.Copy(io.Discard, rd)
	})).apply()
	c := dialRaw(t, r.addr()).send("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5000000000\r\n\r\n")
	res, body := c.response("POST")
	if res.StatusCode != 417 || body != "no\n" || !res.Close {
		t.Errorf("%d %q close %v", res.StatusCode, body, res.Close)
	}
	c.ended()
}

func TestEarlyHints(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</x>")
		w.WriteHeader(103)
		w.WriteHeader(103)
		io.WriteString(w, "body")
	})).apply()
	hints := 0
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			if code == 103 && h.Get("Link") == "</x>" {
				hints++
			}
			return nil
		},
	})
	req, _ := http.NewRequestWithContext(ctx, "GET", r.url(), nil)
	res, err := r.client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if hints != 2 || res.StatusCode != 200 {
		t.Errorf("%d early hints, status %d", hints, res.StatusCode)
	}
}

func TestWebSocketTunnel(t *testing.T) {
	r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		h := head(t, rd)
		if !strings.Contains(h, "Connection: Upgrade\r\n") || !strings.Contains(h, "Upgrade: websocket\r\n") {
			t.Errorf("server saw\n%s", h)
		}
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\nfirst")
		io.Copy(c, rd)
		io.WriteString(c, "last")
	})).apply()
	c := dialRaw(t, r.addr())
	c.send("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\nearly ")
	h := head(t, c.Reader)
	if !strings.HasPrefix(h, "HTTP/1.1 101 ") || !strings.Contains(h, "Upgrade: websocket\r\n") || !strings.Contains(h, "Sec-WebSocket-Accept: x") {
		t.Fatalf("client saw\n%s", h)
	}
	c.send("bytes")
	c.Conn.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(c.Reader); err != nil || string(b) != "firstearly byteslast" {
		t.Errorf("tunnel carried %q, %v", b, err)
	}
	eventually(t, "the request is logged", func() bool { return strings.Contains(r.log.String(), `"status":101`) })
}

func TestUpgradeToHTTP2IsNotPassedOn(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q %q", r.Header["Upgrade"], r.Header["Connection"], r.Header["Http2-Settings"])
	})).apply()
	c := dialRaw(t, r.addr())
	for _, protocols := range []string{"h2c", "H2C", "websocket, h2c", "h2c/1", "h2c x", "- h2c", "websocket h2c", "websocket;h2c", "websocket, ,", "/h2c", ""} {
		_, body := c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: " + protocols + "\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n").response("GET")
		if body != "[] [] []" {
			t.Errorf("%q: server saw %s", protocols, body)
		}
	}
	for _, protocols := range []string{"websocket", "websocket, IRC/6.9", "h2cx"} {
		_, body := c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: " + protocols + "\r\n\r\n").response("GET")
		if want := fmt.Sprintf("[%q] [\"Upgrade\"] []", protocols); body != want {
			t.Errorf("%q: server saw %s, want %s", protocols, body, want)
		}
	}
}

func TestUnaskedSwitchIsRefused(t *testing.T) {
	r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		head(t, rd)
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
	})).apply()
	if status, _ := get(t, r.client(), r.url()); status != 502 {
		t.Errorf("status %d, want 502", status)
	}
}

func TestRefusedRequests(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the server got a request") }))
	r.web().Routes = []model.Route{{Name: "r", PathPrefixes: []string{"/x"}, Pool: "main"}}
	r.apply()
	for name, tc := range map[string]struct {
		in     string
		status int
	}{
		"CONNECT":           {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", 405},
		"smuggling":         {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
		"no host":           {"GET / HTTP/1.1\r\n\r\n", 400},
		"HTTP/2 preface":    {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
		"gzip coding":       {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
		"gzip in chunks":    {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
		"huge target":       {"GET /" + strings.Repeat("x", 40000) + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
		"huge header":       {"GET / HTTP/1.1\r\nHost: a\r\nX: " + strings.Repeat("x", 40000) + "\r\n\r\n", 431},
		"TLS to clear port": {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400},
		"bad chunk at once": {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		"dot segments":      {"GET /x/../y HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		"hidden dots":       {"GET /x/%2e%2E/y HTTP/1.1\r\nHost: a\r\n\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, r.addr()).send(tc.in + "GET /x HTTP/1.1\r\nHost: a\r\n\r\n") // which no server must see
			res, body := c.response("GET")
			if res.StatusCode != tc.status || body == "" {
				t.Errorf("status %d %q, want %d", res.StatusCode, body, tc.status)
			}
			if more, err := io.ReadAll(c.Reader); !res.Close || err != nil || len(more) > 0 {
				t.Errorf("the connection goes on: close %v, %q, %v", res.Close, more, err)
			}
		})
	}
}

// A chunk that turns out bad while the server already reads the body.
func TestBadChunkInMidBody(t *testing.T) {
	got := make(chan error, 1)
	r := newRig(t, l7.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		got <- err
	})).apply()
	c := dialRaw(t, r.addr()).send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n")
	eventually(t, "the request is on its way", func() bool { return r.engine.Stats().Servers[0].Requests == 1 })
	if res, _ := c.send("zz\r\n").response("POST"); res.StatusCode != 400 || !res.Close {
		t.Errorf("status %d close %v, want 400", res.StatusCode, res.Close)
	}
	if err := <-got; err == nil {
		t.Error("the server took the body for complete")
	}
	if n := r.engine.Stats().Servers[0].Errors; n != 0 {
		t.Errorf("%d errors counted against the server", n)
	}
}

func TestForwardedFields(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%q %q %q", r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Proto"], r.Header["X-Forwarded-Host"])
	}))
	r.web().XForwardedFor = true
	ask := func(fields string) string {
		r.apply()
		_, body := dialRaw(t, r.addr()).send("GET / HTTP/1.1\r\nHost: pacs:80\r\n" + fields + "\r\n").response("GET")
		return body
	}
	forged := "X-Forwarded-For: 192.0.2.7\r\nx-forwarded-for: 192.0.2.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: other\r\n"
	strip := "Connection: x-forwarded-for, x-forwarded-proto, host, content-length, cookie\r\n"
	plain := `["127.0.0.1"] ["http"] ["pacs:80"]`
	for name, tc := range map[string]struct {
		trusted      bool
		fields, want string
	}{
		"none":               {false, "", plain},
		"forged is replaced": {false, forged, plain},
		"not stripped":       {false, strip, plain},
		"trusted is kept":    {true, forged, `["192.0.2.7, 192.0.2.8, 127.0.0.1"] ["https"] ["other"]`},
		"trusted says none":  {true, strip, plain},
	} {
		t.Run(name, func(t *testing.T) {
			r.web().TrustedCIDRs = nil
			if tc.trusted {
				r.web().TrustedCIDRs = prefixes("127.0.0.0/8")
			}
			if got := ask(tc.fields); got != tc.want {
				t.Errorf("server saw %s, want %s", got, tc.want)
			}
		})
	}
	r.web().XForwardedFor, r.web().TrustedCIDRs = false, nil
	if got := ask(forged); got != `["192.0.2.7" "192.0.2.8"] ["https"] ["other"]` {
		t.Errorf("switched off, server saw %s", got)
	}
}

func TestRoutesAndHeaders(t *testing.T) {
	show := func(name string) string {
		return serve(t, func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s %s %s %q %q", name, r.RequestURI, r.Host, r.Header["X-Site"], r.Header["X-Debug"])
		})
	}
	r := newRig(t, l7.Config{}, show("viewer"))
	r.proxy.Pools = append(r.proxy.Pools, poolOf("archive", show("archive")))
	to := "/dicomweb"
	r.web().Routes = []model.Route{
		{Name: "dicomweb", PathPrefixes: []string{"/dicom-web", "/wado/"}, Pool: "archive", RewritePrefix: &to,
			SetRequestHeaders: []model.Header{{Name: "X-Site", Value: "main"}, {Name: "Host", Value: "archive.local"}}, RemoveRequestHeaders: []string{"x-debug"}},
		{Name: "second", PathPrefixes: []string{"/dicom-web/x"}, Pool: "main"},
	}
	r.apply()
	for target, want := range map[string]string{
		"/":                         `viewer / a ["forged"] ["1"]`,
		"/dicom-web":                `archive /dicomweb archive.local ["main"] []`,
		"/dicom-web/":               `archive /dicomweb/ archive.local ["main"] []`,
		"/dicom-web/x?a=%2f//b":     `archive /dicomweb/x?a=%2f//b archive.local ["main"] []`,
		"/dicom-web?q":              `archive /dicomweb?q archive.local ["main"] []`,
		"/wado//x":                  `archive /dicomweb//x archive.local ["main"] []`,
		"/dicom-webx":               `viewer /dicom-webx a ["forged"] ["1"]`,
		"/Dicom-Web":                `viewer /Dicom-Web a ["forged"] ["1"]`,
		"/dicom%2dweb/x":            `viewer /dicom%2dweb/x a ["forged"] ["1"]`,
		"//dicom-web":               `viewer //dicom-web a ["forged"] ["1"]`,
		"http://a/dicom-web/s?q=1":  `archive /dicomweb/s?q=1 archive.local ["main"] []`,
		"http://a":                  `viewer / a ["forged"] ["1"]`,
		"http://a?q":                `viewer /?q a ["forged"] ["1"]`,
		"/x?r=http://b/dicom-web/y": `viewer /x?r=http://b/dicom-web/y a ["forged"] ["1"]`,
	} {
		_, body := dialRaw(t, r.addr()).send("GET " + target + " HTTP/1.1\r\nHost: a\r\nX-Site: forged\r\nX-Debug: 1\r\n\r\n").response("GET")
		if diff := cmp.Diff(want, body); diff != "" {
			t.Errorf("%s (-want +got):\n%s", target, diff)
		}
	}
}

// No patient's name, number or UID reaches the access log.
func TestAccessLogHoldsNoPatient(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, echo)).apply()
	c := dialRaw(t, r.addr())
	const canary = "CANARY^PATIENT"
	c.send("GET /dicom-web/studies/1.2.840.99/series?PatientName=CANARY%5EPATIENT&x=" + canary + " HTTP/1.1\r\nHost: a\r\nReferer: " + canary + "\r\nX-" + "CANARY: 1\r\n\r\n").response("GET")
	c.send("GET /CANARY/PATIENT/studies HTTP/1.1\r\nHost: a\r\nCookie: p=" + canary + "\r\n\r\n").response("GET")
	c.send("GET /CANARY HTTP/1.1\r\nHost: CANARY PATIENT\r\n\r\n").response("GET")
	eventually(t, "three lines", func() bool { return strings.Count(r.log.String(), "\n") == 3 })
	log := r.log.String()
	if strings.Contains(log, "CANARY") || strings.Contains(log, "1.2.840") {
		t.Errorf("access log names a patient:\n%s", log)
	}
	for _, want := range []string{`"path":"/dicom-web/studies/{}/series"`, `"path":"/{}/{}/studies"`, `"client":"127.0.0.1"`, `"status":200`, `"status":400`, `"server":"s1"`} {
		if !strings.Contains(log, want) {
			t.Errorf("access log has no %s:\n%s", want, log)
		}
	}
}

// curl as another client: upload with Expect, ranges of statuses, HTTP/1.0.
func TestCurl(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, echo)).apply()
	for _, args := range [][]string{
		{"--data-binary", "@-", "-H", "Expect: 100-continue"},
		{"--data-binary", "@-", "-H", "Transfer-Encoding: chunked"},
		{"--data-binary", "@-", "--http1.0"},
		{"-T", "-"},
	} {
		in := strings.Repeat("pixel data ", 300_000)
		cmd := exec.Command("curl", append([]string{"-sS", "--max-time", "60", r.url() + "/x"}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.Output()
		if err != nil || string(out) != in {
			t.Errorf("curl %v: %d bytes of %d, %v", args, len(out), len(in), err)
		}
	}
}
