package health

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/testutil/loopback"
)

// site is a web server for checks.
func site() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "state: DB-OK") })
	mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/broken", http.StatusFound) })
	mux.HandleFunc("/broken", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "canary of a patient", 503) })
	mux.HandleFunc("/login", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(401) })
	mux.HandleFunc("/big", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", maxBody-4)+"DB-OK")
	})
	mux.HandleFunc("/edge", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", maxBody-5)+"DB-OK")
	})
	mux.HandleFunc("/split", func(w http.ResponseWriter, r *http.Request) {
		for _, s := range []string{"DB", "-", "OK"} {
			_, _ = io.WriteString(w, s)
			w.(http.Flusher).Flush()
			time.Sleep(time.Millisecond)
		}
	})
	mux.HandleFunc("/hints", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusOK)
	})
	mux.HandleFunc("/host", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Host, r.Method) })
	return mux
}

func TestHTTPCheck(t *testing.T) {
	cases := map[string]struct {
		check  HTTPCheck
		grade  Grade
		reason Reason
		says   string
	}{
		"status only":          {HTTPCheck{Path: "/ok"}, Pass, "", ""},
		"body":                 {HTTPCheck{Path: "/ok", ExpectedBody: "DB-OK"}, Pass, "", ""},
		"body differs":         {HTTPCheck{Path: "/ok", ExpectedBody: "DB-FULL"}, Fail, UnexpectedBody, "healthChecks.http.expectedBody"},
		"body in pieces":       {HTTPCheck{Path: "/split", ExpectedBody: "DB-OK"}, Pass, "", ""},
		"text past 64 KiB":     {HTTPCheck{Path: "/big", ExpectedBody: "DB-OK"}, Fail, UnexpectedBody, "first 64 KiB"},
		"text just within":     {HTTPCheck{Path: "/edge", ExpectedBody: "DB-OK"}, Pass, "", ""},
		"redirect passes":      {HTTPCheck{Path: "/moved"}, Pass, "", ""},
		"redirect unwanted":    {HTTPCheck{Path: "/moved", ExpectedStatuses: []int{200, 204}}, Fail, UnexpectedStatus, "status 302, expected 200 or 204"},
		"error":                {HTTPCheck{Path: "/broken"}, Fail, UnexpectedStatus, "status 503, expected 200 to 399"},
		"error expected":       {HTTPCheck{Path: "/broken", ExpectedStatuses: []int{503}}, Pass, "", ""},
		"login":                {HTTPCheck{Path: "/login"}, Fail, UnexpectedStatus, "401"},
		"head":                 {HTTPCheck{Path: "/ok", Method: "HEAD"}, Pass, "", ""},
		"early hints":          {HTTPCheck{Path: "/hints", ExpectedStatuses: []int{200}}, Pass, "", ""},
		"host header":          {HTTPCheck{Path: "/host", Host: "pacs.example.org", ExpectedBody: "pacs.example.orgGET"}, Pass, "", ""},
		"host header, default": {HTTPCheck{Path: "/host", ExpectedBody: "127.0.0.1:"}, Pass, "", ""},
	}
	plain, secure := httptest.NewServer(site()), httptest.NewTLSServer(site())
	defer plain.Close()
	defer secure.Close()
	for name, tc := range cases {
		for server, withTLS := range map[*httptest.Server]bool{plain: false, secure: true} {
			t.Run(fmt.Sprintf("%s, TLS %v", name, withTLS), func(t *testing.T) {
				tc.check.TLS = withTLS
				at := netip.MustParseAddrPort(server.Listener.Addr().String())
				r := probeOnce(t, at, Check{Type: HTTP, HTTP: tc.check})
				if r.Grade != tc.grade || r.Reason != tc.reason || !strings.Contains(r.Message, tc.says) {
					t.Errorf("got %+v", r)
				}
				if strings.Contains(r.Message, "canary") {
					t.Errorf("message quotes the body: %s", r.Message)
				}
				if r.Reason != "" && (!strings.Contains(r.Message, at.String()) || !strings.Contains(r.Message, tc.check.Path)) {
					t.Errorf("message does not say where: %s", r.Message)
				}
			})
		}
	}
}

func TestHTTPCheckOfBrokenServers(t *testing.T) {
	secure := httptest.NewUnstartedServer(site())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	t.Cleanup(secure.Close)
	secureAt := netip.MustParseAddrPort(secure.Listener.Addr().String())
	hang := serve(t, func(c net.Conn) { drain(c) })
	reply := func(s string) netip.AddrPort {
		return serve(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, s)
		})
	}
	cases := map[string]struct {
		at     netip.AddrPort
		check  HTTPCheck
		reason Reason
	}{
		"closed port":         {loopback.Refusing(t), HTTPCheck{}, ConnectionRefused},
		"hangs":               {hang, HTTPCheck{}, ResponseTimeout},
		"hangs, TLS":          {hang, HTTPCheck{TLS: true}, ResponseTimeout},
		"hangs in the body":   {serve(t, func(c net.Conn) { _, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"); drain(c) }), HTTPCheck{ExpectedBody: "OK"}, ResponseTimeout},
		"closes":              {reply(""), HTTPCheck{}, ConnectionClosed},
		"closes in the head":  {reply("HTTP/1.1 200 OK\r\nA: "), HTTPCheck{}, ConnectionClosed},
		"closes in the body":  {reply("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"), HTTPCheck{ExpectedBody: "OK"}, UnexpectedBody},
		"another protocol":    {reply("220 mail ready\r\n"), HTTPCheck{}, ProtocolError},
		"endless head":        {reply("HTTP/1.1 200 OK\r\n" + strings.Repeat("A: b\r\n", maxAnswer)), HTTPCheck{}, ProtocolError},
		"interim for ever":    {reply(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 20)), HTTPCheck{}, ProtocolError},
		"TLS port, asked raw": {secureAt, HTTPCheck{}, UnexpectedStatus},
		"raw port, asked TLS": {reply("HTTP/1.1 400 Bad Request\r\n\r\n"), HTTPCheck{TLS: true}, TLSHandshakeFailed},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Check{Type: HTTP, HTTP: tc.check}
			if tc.reason == ResponseTimeout {
				c.Timeout = 2 * time.Second
			}
			if r := probeOnce(t, tc.at, c); r.Grade != Fail || r.Reason != tc.reason {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestServerName(t *testing.T) {
	cases := map[string]string{
		"pacs.example.org": "pacs.example.org", "pacs.example.org:443": "pacs.example.org",
		"192.0.2.1": "", "192.0.2.1:443": "", "[2001:db8::1]:443": "", "[2001:db8::1]": "", "2001:db8::1": "",
	}
	for in, want := range cases {
		if got := serverName(in); got != want {
			t.Errorf("serverName(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzHTTPAnswer: whatever a server sends is judged, and a message never quotes it.
func FuzzHTTPAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nDB-OK"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nDB\r\n3\r\n-OK\r\n0\r\n\r\n"))
	f.Add([]byte("HTTP/1.0 503 Service Unavailable\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"))
	p := newHTTPProber(place{}, HTTPCheck{Method: "GET", Path: "/", ExpectedBody: "DB-OK"})
	f.Fuzz(func(t *testing.T, answer []byte) {
		r := p.ask(context.Background(), &canned{answer: answer})
		if r.Grade == Inconclusive || (r.Grade == Fail) != (r.Reason != "") {
			t.Fatalf("%+v", r)
		}
		if r.Grade == Pass && !strings.Contains(string(answer), "OK") {
			t.Fatalf("passed on %q", answer)
		}
	})
}

// canned is a connection that answers the same whatever it is asked.
type canned struct {
	net.Conn
	answer []byte
}

func (c *canned) Write(b []byte) (int, error) { return len(b), nil }

func (c *canned) Read(b []byte) (int, error) {
	if len(c.answer) == 0 {
		return 0, io.EOF
	}
	n := copy(b, c.answer)
	c.answer = c.answer[n:]
	return n, nil
}
