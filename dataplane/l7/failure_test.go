package l7_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/testutil/loopback"
)

func TestServerThatRefusesIsPassedOver(t *testing.T) {
	r := newRig(t, l7.Config{}, loopback.Refusing(t).String(), named(t, "up"), loopback.Refusing(t).String()).apply()
	c := r.client()
	for range 20 {
		res, err := c.Post(r.url(), "text/plain", strings.NewReader("x"))
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(res.Body)
		res.Body.Close()
		if res.StatusCode != 200 || string(b) != "up" {
			t.Fatalf("%d %q", res.StatusCode, b)
		}
	}
	st := r.engine.Stats()
	if st.Servers[0].Errors == 0 || st.Servers[1].Errors != 0 || st.Servers[0].Current != 0 {
		t.Errorf("counters %+v", st.Servers)
	}
}

func TestNoServer(t *testing.T) {
	for name, tc := range map[string]struct {
		servers []string
		healthy bool
	}{
		"all refuse":    {[]string{loopback.Refusing(t).String(), loopback.Refusing(t).String()}, true},
		"none healthy":  {[]string{named(t, "x")}, false},
		"pool is empty": {nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, l7.Config{}, tc.servers...).apply()
			r.engine.SetHealth("main", "s1", tc.healthy)
			c := dialRaw(t, r.addr())
			for range 2 {
				res, body := c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET")
				if res.StatusCode != 503 || !strings.Contains(body, "administrator") || res.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
					t.Errorf("%d %q %v", res.StatusCode, body, res.Header)
				}
			}
			if res, body := c.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").response("HEAD"); res.StatusCode != 503 || body != "" {
				t.Errorf("HEAD: %d %q", res.StatusCode, body)
			}
		})
	}
}

func TestServerThatDoesNotAnswerTheDial(t *testing.T) {
	cfg := l7.Config{Timeouts: l7.Timeouts{Connect: 20 * time.Millisecond}}
	r := newRig(t, cfg, loopback.Silent(t).String(), loopback.Silent(t).String()).apply()
	if status, _ := get(t, r.client(), r.url()); status != 504 {
		t.Errorf("status %d, want 504", status)
	}
}

func TestGarbageFromTheServer(t *testing.T) {
	for name, answer := range map[string]string{
		"SSH":              "SSH-2.0-OpenSSH_9.2p1\r\n",
		"nothing":          "",
		"half a head":      "HTTP/1.1 200 OK\r\nContent-Le",
		"ambiguous":        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"gzip coding":      "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/2":           "HTTP/2 200\r\n\r\n",
		"huge head":        "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 40000) + "\r\n\r\n",
		"bad chunk inside": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
				head(t, rd)
				io.WriteString(c, answer)
				c.(*net.TCPConn).CloseWrite()
				io.Copy(io.Discard, rd)
			})).apply()
			res, err := r.client().Get(r.url())
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			if name == "bad chunk inside" {
				if _, err := io.ReadAll(res.Body); err == nil {
					t.Error("a cut body was passed on as complete")
				}
			} else if res.StatusCode != 502 {
				t.Errorf("status %d, want 502", res.StatusCode)
			}
			if n := r.engine.Stats().Servers[0].Errors; n != 1 {
				t.Errorf("%d errors counted, want 1", n)
			}
		})
	}
}

// A body that is cut must not look complete, in any framing.
func TestCutResponses(t *testing.T) {
	for name, tc := range map[string]struct{ answer, request string }{
		"length":              {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"chunked":             {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"chunked for old":     {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n", "GET / HTTP/1.0\r\n\r\n"},
		"until close":         {"HTTP/1.1 200 OK\r\n\r\n12345", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"},
		"until close for old": {"HTTP/1.1 200 OK\r\n\r\n12345", "GET / HTTP/1.0\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			cut := make(chan struct{})
			r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
				head(t, rd)
				io.WriteString(c, tc.answer)
				<-cut
				c.(*net.TCPConn).SetLinger(0) // the server crashes
			})).apply()
			c := dialRaw(t, r.addr()).send(tc.request)
			res, err := http.ReadResponse(c.Reader, nil)
			if err != nil {
				t.Fatal(err)
			}
			if b := make([]byte, 5); true {
				if _, err := io.ReadFull(res.Body, b); err != nil || string(b) != "12345" {
					t.Fatalf("%q, %v", b, err)
				}
			}
			close(cut)
			if b, err := io.ReadAll(res.Body); err == nil {
				t.Errorf("cut body looks complete after %q", b)
			}
		})
	}
}

// staleServer answers the first request of each connection; later it reads one and closes.
// Requests are counted.
func staleServer(t *testing.T, count *atomic.Int64) string {
	return scripted(t, func(c net.Conn, rd *bufio.Reader) {
		for i := 0; ; i++ {
			h := head(t, rd)
			if h == "" {
				return
			}
			count.Add(1)
			if strings.HasPrefix(h, "P") {
				io.CopyN(io.Discard, rd, 1)
			}
			if i == 1 {
				return
			}
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
}

func TestRepeatOnStaleConnection(t *testing.T) {
	for name, tc := range map[string]struct {
		second        string
		status, count int
	}{
		"GET":            {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", 200, 3},
		"DELETE":         {"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 200, 3},
		"POST":           {"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 502, 2},
		"PUT with body":  {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx", 502, 2},
		"unknown method": {"FROB / HTTP/1.1\r\nHost: a\r\n\r\n", 502, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var count atomic.Int64
			r := newRig(t, l7.Config{}, staleServer(t, &count)).apply()
			c := dialRaw(t, r.addr())
			if res, _ := c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET"); res.StatusCode != 200 {
				t.Fatalf("first request: %d", res.StatusCode)
			}
			if res, _ := c.send(tc.second).response("GET"); res.StatusCode != tc.status || count.Load() != int64(tc.count) {
				t.Errorf("status %d after %d requests at the server, want %d after %d", res.StatusCode, count.Load(), tc.status, tc.count)
			}
		})
	}
}

// A connection that the server has closed while unused is not used, not even for a POST.
func TestClosedIdleConnectionIsNoticed(t *testing.T) {
	closed := make(chan struct{}, 10)
	r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		if head(t, rd) != "" {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
		c.Close()
		closed <- struct{}{}
	})).apply()
	c := dialRaw(t, r.addr())
	for range 10 {
		res, _ := c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n").response("POST")
		if res.StatusCode != 200 {
			t.Fatalf("status %d", res.StatusCode)
		}
		<-closed
	}
}

// What a server sends unasked must not become the answer to somebody's next request: neither if
// it comes with an answer nor if it comes later.
func TestUnaskedBytesAreNotAnAnswer(t *testing.T) {
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	for name, late := range map[string]bool{"with the answer": false, "later": true} {
		t.Run(name, func(t *testing.T) {
			var conns atomic.Int64
			sent := make(chan struct{}, 1)
			r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
				n := conns.Add(1)
				for head(t, rd) != "" {
					answer := fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d", n)
					if !late {
						answer += poison
					}
					io.WriteString(c, answer)
					if late {
						io.WriteString(c, poison)
					}
					sent <- struct{}{}
				}
			})).apply()
			c := r.client()
			for i := range 9 {
				if _, body := get(t, c, r.url()); body != fmt.Sprint(i+1) {
					t.Fatalf("answer %d is %q", i, body)
				}
				<-sent
			}
		})
	}
}

// The client goes away in mid-upload: the server must not take the body for complete.
func TestClientGoesInMidUpload(t *testing.T) {
	got := make(chan error, 1)
	r := newRig(t, l7.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		got <- err
	})).apply()
	for name, start := range map[string]string{
		"length":  "Content-Length: 1000\r\n\r\nabc",
		"chunked": "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
	} {
		c := dialRaw(t, r.addr()).send("POST / HTTP/1.1\r\nHost: a\r\n" + start)
		eventually(t, "the request is on its way", func() bool { return r.engine.Stats().Servers[0].Current == 1 })
		c.Close()
		if err := <-got; err == nil {
			t.Errorf("%s: the server took the body for complete", name)
		}
		eventually(t, "the place is given up", func() bool { return r.engine.Stats().Servers[0].Current == 0 })
	}
}

// The server refuses an upload early and closes; the client still gets the answer.
func TestServerAnswersEarlyAndCloses(t *testing.T) {
	r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		head(t, rd)
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
		c.(*net.TCPConn).CloseWrite()
		io.CopyN(io.Discard, rd, 1<<20)
	})).apply()
	c := dialRaw(t, r.addr()).send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000000\r\n\r\n" + strings.Repeat("x", 100_000))
	if res, body := c.response("POST"); res.StatusCode != 413 || body != "big" || !res.Close {
		t.Errorf("%d %q close %v", res.StatusCode, body, res.Close)
	}
}

// A server may answer while it still reads, and go on with both.
func TestServerAnswersWhileItReads(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(flusher{w}, r.Body)
	})).apply()
	c := dialRaw(t, r.addr()).send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n0\r\n")
	for i := range 9 {
		if i == 0 {
			res, err := http.ReadResponse(c.Reader, nil)
			if err != nil || res.StatusCode != 200 {
				t.Fatal(res, err)
			}
			c.Reader = bufio.NewReader(res.Body)
		}
		if b, err := c.Reader.ReadByte(); err != nil || b != byte('0'+i) {
			t.Fatalf("byte %d is %q, %v", i, b, err)
		}
		c.send(fmt.Sprintf("1\r\n%d\r\n", i+1))
	}
	c.send("0\r\n\r\n")
	if b, err := io.ReadAll(c.Reader); err != nil || string(b) != "9" {
		t.Errorf("end %q, %v", b, err)
	}
}

type flusher struct{ http.ResponseWriter }

func (f flusher) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	return n, errors.Join(err, http.NewResponseController(f.ResponseWriter).Flush())
}

// A mistake that one connection meets leaves the others alone.
func TestPanicCutsOneConnection(t *testing.T) {
	up := named(t, "up")
	var calls atomic.Int64
	r := newRig(t, l7.Config{Source: func(netip.AddrPort) (from netip.AddrPort) {
		if calls.Add(1) == 2 {
			panic("for the test")
		}
		return from
	}}, up).apply()
	c := dialRaw(t, r.addr()).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	c.response("GET")
	r.proxy.Pools[0].Servers[0].Name = "again" // no connection is left to it
	r.apply()
	dialRaw(t, r.addr()).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").ended()
	if res, body := c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET"); res.StatusCode != 200 || body != "up" {
		t.Errorf("%d %q", res.StatusCode, body)
	}
	eventually(t, "the cut connection is gone", func() bool { return r.engine.Stats().Listeners[0].Current == 1 })
}

// Clients that break off anywhere leave nothing behind.
func TestClientsThatBreakOff(t *testing.T) {
	r := newRig(t, l7.Config{Timeouts: l7.Timeouts{Linger: 10 * time.Millisecond}}, serve(t, echo)).apply()
	in := "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	var all sync.WaitGroup
	for n := range len(in) {
		all.Go(func() {
			c, err := net.Dial("tcp", r.addr())
			if err != nil {
				t.Error(err)
				return
			}
			io.WriteString(c, in[:n])
			if n%2 == 0 {
				c.(*net.TCPConn).SetLinger(0)
			}
			c.Close()
		})
	}
	all.Wait()
	eventually(t, "all connections end", func() bool {
		st := r.engine.Stats()
		return st.Listeners[0].Current == 0 && st.Servers[0].Current == 0
	})
}
