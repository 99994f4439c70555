package l7_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/testutil/printed"
)

const (
	line4   = "PROXY TCP4 203.0.113.9 192.0.2.100 40001 443\r\n"
	line6   = "PROXY TCP6 2001:db8::9 2001:db8::64 40001 443\r\n"
	sign    = "\r\n\r\n\x00\r\nQUIT\n"
	binary4 = sign + "\x21\x11\x00\x0c\xcb\x00\x71\x09\xc0\x00\x02\x64\x9c\x41\x01\xbb"
	// with a no-op and the TLV of a server name
	binaryTLV = sign + "\x21\x11\x00\x15\xcb\x00\x71\x09\xc0\x00\x02\x64\x9c\x41\x01\xbb\x04\x00\x00\x02\x00\x03abc"
	binary6   = sign + "\x21\x21\x00\x24\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x09" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x64\x9c\x41\x01\xbb"
	binaryLocal = sign + "\x20\x00\x00\x00"
	binaryUnix  = sign + "\x21\x31\x00\xd8"
)

var (
	everyone = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	nobody   = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
)

// greetings are headers, and what the client's address is then.
var greetings = map[string]struct{ header, client string }{
	"line":             {line4, "203.0.113.9"},
	"line of IPv6":     {line6, "2001:db8::9"},
	"line, mapped":     {"PROXY TCP6 ::ffff:203.0.113.9 2001:db8::64 40001 443\r\n", "203.0.113.9"},
	"line, unknown":    {"PROXY UNKNOWN\r\n", "127.0.0.1"},
	"binary":           {binary4, "203.0.113.9"},
	"binary with TLVs": {binaryTLV, "203.0.113.9"},
	"binary of IPv6":   {binary6, "2001:db8::9"},
	"binary, local":    {binaryLocal, "127.0.0.1"},
	"binary, unix":     {binaryUnix + strings.Repeat("u", 216), "127.0.0.1"},
}

// forwardedFor answers with the client's address as the server was told.
func forwardedFor(w http.ResponseWriter, r *http.Request) {
	io.WriteString(w, r.Header.Get("X-Forwarded-For"))
}

// greetingRig has a listener web whose peers in from have to begin with a header.
func greetingRig(t *testing.T, from []netip.Prefix, cfg l7.Config, server string) *rig {
	r := newRig(t, cfg, server)
	r.web().AcceptProxyProtocolFrom, r.web().XForwardedFor = from, true
	return r
}

// TestGreetings: the address that a header tells is the client's, for the server, the access log and trust; two
// requests come on a connection, in one piece with the header or byte by byte.
func TestGreetings(t *testing.T) {
	r := greetingRig(t, everyone, l7.Config{}, serve(t, forwardedFor)).apply()
	const request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
	for name, tc := range greetings {
		for _, step := range []int{1 << 10, 7, 1} {
			t.Run(fmt.Sprintf("%s, %d bytes at once", name, step), func(t *testing.T) {
				c := dialRaw(t, r.addr())
				for rest := tc.header + request; rest != ""; rest = rest[min(step, len(rest)):] {
					c.send(rest[:min(step, len(rest))])
				}
				for range 2 {
					if res, body := c.response("GET"); res.StatusCode != 200 || body != tc.client {
						t.Errorf("%d %q, want %s", res.StatusCode, body, tc.client)
					}
					c.send(request)
				}
				c.response("GET")
			})
		}
		eventually(t, "the log has the address", func() bool { return strings.Contains(r.log.String(), `"client":"`+tc.client+`"`) })
	}
	if st := r.engine.Stats().Listeners[0]; st.Greetings != 0 || st.Errors != 0 {
		t.Errorf("counters %+v", st)
	}
}

// TestGreetingBeforeTLS: the header is in clear and comes before the handshake, for HTTPS and for TCP in TLS.
func TestGreetingBeforeTLS(t *testing.T) {
	for _, application := range []model.Application{model.HTTP, model.TCPStream} {
		for name, tc := range greetings {
			t.Run(fmt.Sprintf("%s, %s", application, name), func(t *testing.T) {
				r := greetingRig(t, everyone, l7.Config{}, serve(t, forwardedFor))
				r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example.org")}}
				r.web().Application, r.web().XForwardedFor = application, application == model.HTTP
				r.apply()
				plain := dialRaw(t, r.addr()).send(tc.header)
				c := tls.Client(plain.Conn, &tls.Config{InsecureSkipVerify: true})
				if _, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				if b, err := io.ReadAll(c); err != nil || !bytes.HasPrefix(b, []byte("HTTP/1.1 200")) {
					t.Fatalf("%q, %v", b, err)
				}
				c.Close()
				eventually(t, "the log has the address", func() bool { return strings.Contains(r.log.String(), `"client":"`+tc.client+`"`) })
			})
		}
	}
}

// TestGreetingBeforeTCP: nothing of the header reaches the server, and all that comes behind it does.
func TestGreetingBeforeTCP(t *testing.T) {
	r := greetingRig(t, everyone, l7.Config{}, echoTCP(t))
	r.web().Application, r.web().XForwardedFor = model.TCPStream, false
	r.apply()
	for name, tc := range greetings {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, r.addr()).send(tc.header + "hello")
			c.Conn.(*net.TCPConn).CloseWrite()
			if b, err := io.ReadAll(c); err != nil || string(b) != "helloEND" {
				t.Errorf("%q, %v", b, err)
			}
			eventually(t, "the log has the address", func() bool { return strings.Contains(r.log.String(), `"client":"`+tc.client+`"`) })
		})
	}
}

// TestGreetingsOfOthers: who is not in the list cannot tell an address, and need not.
func TestGreetingsOfOthers(t *testing.T) {
	r := greetingRig(t, nobody, l7.Config{}, serve(t, forwardedFor)).apply()
	for name, tc := range greetings {
		t.Run(name, func(t *testing.T) {
			c := dialRaw(t, r.addr()).send(tc.header + "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			if res, _ := c.response("GET"); res.StatusCode != 400 {
				t.Errorf("a header was answered with %d, want 400", res.StatusCode)
			}
		})
	}
	if _, body := get(t, r.client(), r.url()); body != "127.0.0.1" {
		t.Errorf("the client's address is %q", body)
	}
	if strings.Contains(r.log.String(), "203.0.113.9") {
		t.Error("the log has an address that a stranger told")
	}
}

// TestGreetedClientsAreTrusted: trust is a matter of the client's address, not of the balancer's in front.
func TestGreetedClientsAreTrusted(t *testing.T) {
	for trusted, want := range map[string]string{
		"203.0.113.0/24": "198.51.100.1, 203.0.113.9",
		"127.0.0.0/8":    "203.0.113.9",
	} {
		r := greetingRig(t, everyone, l7.Config{}, serve(t, forwardedFor))
		r.web().TrustedCIDRs = []netip.Prefix{netip.MustParsePrefix(trusted)}
		r.apply()
		c := dialRaw(t, r.addr()).send(line4 + "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.1\r\n\r\n")
		if _, body := c.response("GET"); body != want {
			t.Errorf("with %s trusted the server is told %q, want %q", trusted, body, want)
		}
	}
}

// TestGreetingsRefused: without a proper header in time there is no connection, no byte gets to the server, and a
// line for engineers says why, once, with the peer's address.
func TestGreetingsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		sent, says string
		end        bool
	}{
		"another protocol":  {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "does not begin", false},
		"TLS":               {"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "does not begin", false},
		"bad address":       {"PROXY TCP4 203.0.113.09 192.0.2.100 40001 443\r\n", "an address that is not one", false},
		"bad length":        {sign + "\x21\x11\x00\x0b\xcb\x00\x71\x09\xc0\x00\x02\x64\x9c\x41\x01", "shorter", false},
		"endless line":      {"PROXY UNKNOWN " + strings.Repeat("x", 4000), "longer than 107", false},
		"huge":              {sign + "\x21\x11\xff\xff", "larger than 4096", false},
		"nothing":           {"", "came in time", false},
		"half":              {line4[:20], "came in time", false},
		"nothing and end":   {"", "ended before", true},
		"half and end":      {binary4[:20], "ended before", true},
		"half a TLV":        {binaryTLV[:len(binaryTLV)-1], "came in time", false},
		"wrong checksum":    {sign + "\x21\x11\x00\x13\xcb\x00\x71\x09\xc0\x00\x02\x64\x9c\x41\x01\xbb\x03\x00\x04abcd", "checksum", false},
		"almost a line":     {"PROXY\tTCP4", "does not begin", false},
		"line without CR":   {"PROXY UNKNOWN\n", "CR or LF", false},
		"unknown command":   {sign + "\x22", "command", false},
		"signature's start": {sign[:5] + "\n", "does not begin", false},
	} {
		t.Run(name, func(t *testing.T) {
			var said printed.Text
			server := scripted(t, func(net.Conn, *bufio.Reader) { t.Error("the server was bothered") })
			r := greetingRig(t, everyone, l7.Config{
				Timeouts: l7.Timeouts{Header: headerLimit},
				Log:      funcr.New(func(_, args string) { fmt.Fprintln(&said, args) }, funcr.Options{Verbosity: 1}),
			}, server)
			r.web().Application, r.web().XForwardedFor = model.TCPStream, false
			r.apply()
			began := time.Now()
			c := dialRaw(t, r.addr())
			_, _ = io.WriteString(c.Conn, tc.sent) // it may be closed by then
			if tc.end {
				c.Conn.(*net.TCPConn).CloseWrite()
			}
			if b, err := io.ReadAll(c); len(b) > 0 || err != nil && !strings.Contains(err.Error(), unix.ECONNRESET.Error()) {
				t.Errorf("%q, %v", b, err)
			}
			if took := time.Since(began); strings.Contains(tc.says, "in time") && took < headerLimit-early {
				t.Errorf("ended after %v", took)
			}
			eventually(t, "nothing is left", func() bool { return r.engine.Connections() == 0 })
			if st := r.engine.Stats().Listeners[0]; st.Greetings != 1 || st.Total != 1 {
				t.Errorf("counters %+v", st)
			}
			if s := said.String(); strings.Count(s, "acceptProxyProtocolFrom") != 1 || !strings.Contains(s, tc.says) || !strings.Contains(s, `"peer"="`+c.LocalAddr().String()) {
				t.Errorf("the log says %q, want one line with %q", s, tc.says)
			}
			if r.log.String() != "" {
				t.Errorf("the access log says %s", r.log.String())
			}
		})
	}
}

// TestGreetingsAndTheEnd: engines that drain wait for greetings as for others, those that close cut them.
func TestGreetingsAndTheEnd(t *testing.T) {
	r := greetingRig(t, everyone, l7.Config{}, serve(t, forwardedFor)).apply()
	c := dialRaw(t, r.addr()).send(line4[:10])
	eventually(t, "the greeting has begun", func() bool { return r.engine.Connections() == 1 })
	drained := make(chan error, 1)
	go func() { drained <- r.engine.Drain(t.Context()) }()
	eventually(t, "nobody else is let in", func() bool {
		c, err := net.Dial("tcp", r.addr())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	c.send(line4[10:] + "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if res, body := c.response("GET"); body != "203.0.113.9" || !res.Close {
		t.Errorf("%q, close %v", body, res.Close)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	r = greetingRig(t, everyone, l7.Config{}, serve(t, forwardedFor)).apply()
	c = dialRaw(t, r.addr()).send(line4[:10])
	eventually(t, "the greeting has begun", func() bool { return r.engine.Connections() == 1 })
	r.engine.Close()
	if b, err := io.ReadAll(c); len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
	if n := r.engine.Connections(); n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// TestGreetingsFollowTheConfiguration: a change of the list counts from the next connection, one of the service for
// those whose header is due.
func TestGreetingsFollowTheConfiguration(t *testing.T) {
	r := greetingRig(t, everyone, l7.Config{}, serve(t, forwardedFor)).apply()
	c := dialRaw(t, r.addr()).send(line4[:10])
	eventually(t, "the greeting has begun", func() bool { return r.engine.Connections() == 1 })
	r.web().AcceptProxyProtocolFrom = nil
	r.proxy.Pools = []model.Pool{poolOf("main", named(t, "new"))}
	r.apply()
	c.send(line4[10:] + "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	if _, body := c.response("GET"); body != "new" {
		t.Errorf("%q answered", body)
	}
	if _, body := get(t, r.client(), r.url()); body != "new" {
		t.Errorf("%q answered", body)
	}
}
