package l7_test

import (
	"bufio"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/testutil/loopback"
)

// readHeader reads a PROXY protocol header in its plainest form: addresses as text, source first.
func readHeader(rd *bufio.Reader) (string, error) {
	first, err := rd.Peek(1)
	if err != nil {
		return "", err
	}
	if first[0] == 'P' {
		line, err := rd.ReadString('\n')
		f := strings.Fields(line)
		if err != nil || len(f) != 6 {
			return strings.TrimSpace(line), err
		}
		return "V1 " + net.JoinHostPort(f[2], f[4]) + " " + net.JoinHostPort(f[3], f[5]), nil
	}
	fixed := make([]byte, 16)
	if _, err := io.ReadFull(rd, fixed); err != nil {
		return "", err
	}
	b := make([]byte, binary.BigEndian.Uint16(fixed[14:]))
	if _, err := io.ReadFull(rd, b); err != nil {
		return "", err
	}
	if string(fixed[:12]) != sign || fixed[12] != 0x21 || fixed[13] != 0x11 && fixed[13] != 0x21 {
		return fmt.Sprintf("% x", fixed), nil
	}
	size := (len(b) - 4) / 2
	source, _ := netip.AddrFromSlice(b[:size])
	to, _ := netip.AddrFromSlice(b[size : 2*size])
	return fmt.Sprintf("V2 %v %v", netip.AddrPortFrom(source, binary.BigEndian.Uint16(b[2*size:])), netip.AddrPortFrom(to, binary.BigEndian.Uint16(b[2*size+2:]))), nil
}

// introduced is a server of HTTP that keeps connections open and answers each request with the header that its
// connection began with.
func introduced(t *testing.T) (addr string, conns *seenConns) {
	s := &seenConns{}
	return scripted(t, func(c net.Conn, rd *bufio.Reader) {
		header, err := readHeader(rd)
		if err != nil {
			return // a connection that nobody needed
		}
		s.note(1, header)
		defer s.note(-1, "")
		for {
			if h := head(t, rd); !strings.HasSuffix(h, "\r\n\r\n") {
				return
			} else if strings.HasPrefix(h, "GET /bye ") {
				fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(header), header)
				return
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(header), header)
		}
	}), s
}

// seenConns are the connections that a server had: how many are open, and the headers of all.
type seenConns struct {
	mu      sync.Mutex
	open    int
	headers []string
}

func (s *seenConns) note(open int, header string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open += open
	if header != "" {
		s.headers = append(s.headers, header)
	}
}

func (s *seenConns) count() (open, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open, len(s.headers)
}

// prefaced has a listener web whose servers are told of clients by version.
func prefaced(t *testing.T, version model.ProxyProtocol, cfg l7.Config, servers ...string) *rig {
	r := newRig(t, cfg, servers...)
	r.proxy.Pools[0].ProxyProtocol = version
	return r
}

// told is what a server should be told of a client that came to at.
func told(version model.ProxyProtocol, c net.Conn, at string) string {
	return fmt.Sprintf("%s %s %s", version, c.LocalAddr(), at)
}

const simple = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

// TestServersAreTold: each client's requests come over connections of its own that begin with its address, one for
// as many requests as it makes one after the other; what waits for a client that is gone is closed.
func TestServersAreTold(t *testing.T) {
	for _, version := range []model.ProxyProtocol{model.ProxyProtocolV1, model.ProxyProtocolV2} {
		t.Run(string(version), func(t *testing.T) {
			server, conns := introduced(t)
			r := prefaced(t, version, l7.Config{Timeouts: l7.Timeouts{ServerIdle: time.Minute}}, server).apply()
			const clients = 20
			var all sync.WaitGroup
			var open []*raw
			for range clients {
				c := dialRaw(t, r.addr())
				open = append(open, c)
				all.Go(func() {
					for i := range 5 {
						c.send(simple)
						res, err := readResponse(c)
						if want := told(version, c, r.addr()); res != want || err != nil {
							t.Errorf("request %d: %q, %v; want %q", i, res, err, want)
						}
					}
				})
			}
			all.Wait()
			if now, sum := conns.count(); now != clients || sum != clients {
				t.Errorf("the server has %d connections and had %d, want %d for %d clients", now, sum, clients, clients)
			}
			if st := r.engine.Stats().Servers[0]; st.Idle != clients || st.Total != clients || st.Requests != 5*clients {
				t.Errorf("counters %+v", st)
			}
			for i, c := range open {
				c.Close()
				eventually(t, "the connection for a client that is gone is closed", func() bool { now, _ := conns.count(); return now == clients-i-1 })
			}
			if st := r.engine.Stats().Servers[0]; st.Idle != 0 {
				t.Errorf("counters %+v", st)
			}
		})
	}
}

// readResponse returns the body of a response.
func readResponse(c *raw) (string, error) {
	length := 0
	for {
		line, err := c.ReadString('\n')
		if err != nil {
			return "", err
		}
		if _, err := fmt.Sscanf(line, "Content-Length: %d", &length); err != nil && line == "\r\n" {
			break
		}
	}
	b := make([]byte, length)
	_, err := io.ReadFull(c, b)
	return string(b), err
}

// TestServersAreToldWhatWeWereTold: what a header in front said is passed on, its destination and IPv6 included.
func TestServersAreToldWhatWeWereTold(t *testing.T) {
	server, _ := introduced(t)
	r := prefaced(t, model.ProxyProtocolV2, l7.Config{}, server)
	r.web().AcceptProxyProtocolFrom = everyone
	r.apply()
	for header, want := range map[string]string{
		line4: "V2 203.0.113.9:40001 192.0.2.100:443",
		line6: "V2 [2001:db8::9]:40001 [2001:db8::64]:443",
		"PROXY TCP6 ::ffff:203.0.113.9 2001:db8::64 40001 443\r\n": "V2 [::ffff:203.0.113.9]:40001 [2001:db8::64]:443",
		binaryLocal: "",
	} {
		c := dialRaw(t, r.addr()).send(header)
		if want == "" {
			want = told("V2", c, r.addr())
		}
		for range 2 {
			if _, body := c.send(simple).response("GET"); body != want {
				t.Errorf("after %q the server is told %q, want %q", header, body, want)
			}
		}
	}
}

// TestServersOfTCPAreTold: clear and in TLS, whoever speaks first, after a server that refuses.
func TestServersOfTCPAreTold(t *testing.T) {
	for _, version := range []model.ProxyProtocol{model.ProxyProtocolV1, model.ProxyProtocolV2} {
		for _, secure := range []bool{false, true} {
			for _, greeted := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, TLS %v, greeted %v", version, secure, greeted), func(t *testing.T) {
					server := scripted(t, func(c net.Conn, rd *bufio.Reader) {
						header, err := readHeader(rd)
						if err != nil {
							t.Error(err)
						}
						fmt.Fprintln(c, header)
						io.Copy(c, rd)
						io.WriteString(c, "END")
					})
					r := prefaced(t, version, l7.Config{}, loopback.Refusing(t).String(), server)
					r.web().Application = model.TCPStream
					if secure {
						r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example.org")}}
					}
					if greeted {
						r.web().AcceptProxyProtocolFrom = everyone
					}
					r.apply()
					for range 2 {
						plain, err := net.Dial("tcp", r.addr())
						if err != nil {
							t.Fatal(err)
						}
						defer plain.Close()
						want := told(version, plain, r.addr())
						if greeted {
							io.WriteString(plain, line4)
							want = string(version) + " 203.0.113.9:40001 192.0.2.100:443"
						}
						c := maybeTLS(plain, secure)
						c.SetDeadline(time.Now().Add(patience))
						rd := bufio.NewReader(c)
						if line, err := rd.ReadString('\n'); strings.TrimSpace(line) != want || err != nil {
							t.Fatalf("the server was told %q, %v; want %q", line, err, want)
						}
						io.WriteString(c, "hello")
						c.(interface{ CloseWrite() error }).CloseWrite()
						if b, err := io.ReadAll(rd); string(b) != "helloEND" || err != nil {
							t.Errorf("%q, %v", b, err)
						}
					}
				})
			}
		}
	}
}

// TestServersAreToldAgain: a connection that the server has ended is not used, the next one begins with a header too;
// so do those for requests that are sent once more.
func TestServersAreToldAgain(t *testing.T) {
	server, conns := introduced(t)
	r := prefaced(t, model.ProxyProtocolV2, l7.Config{}, server).apply()
	c := dialRaw(t, r.addr())
	want := told("V2", c, r.addr())
	for range 10 {
		if _, body := c.send("GET /bye HTTP/1.1\r\nHost: a\r\n\r\n").response("GET"); body != want {
			t.Errorf("%q, want %q", body, want)
		}
	}
	if _, all := conns.count(); all != 10 {
		t.Errorf("the server had %d connections, want 10", all)
	}
}

// TestOriginsFollowTheConfiguration: connections that began with another header, or with none, serve nobody any more.
func TestOriginsFollowTheConfiguration(t *testing.T) {
	server, _ := introduced(t)
	plain := named(t, "plain")
	r := prefaced(t, model.ProxyProtocolV1, l7.Config{Timeouts: l7.Timeouts{ServerIdle: time.Minute}}, server).apply()
	c := dialRaw(t, r.addr())
	for range 2 {
		for _, version := range []model.ProxyProtocol{model.ProxyProtocolV1, model.ProxyProtocolV2} {
			r.proxy.Pools[0].ProxyProtocol = version
			r.apply()
			for range 2 {
				if _, body := c.send(simple).response("GET"); body != told(version, c, r.addr()) {
					t.Errorf("%q, want version %s", body, version)
				}
			}
		}
	}
	eventually(t, "one connection is left", func() bool { return r.engine.Stats().Servers[0].Idle == 1 })
	r.proxy.Pools[0] = poolOf("main", plain)
	r.apply()
	if _, body := c.send(simple).response("GET"); body != "plain" {
		t.Errorf("%q", body)
	}
	other := dialRaw(t, r.addr())
	if _, body := other.send(simple).response("GET"); body != "plain" {
		t.Errorf("%q", body)
	}
}

func TestUnknownVersionIsRefused(t *testing.T) {
	r := prefaced(t, "V3", l7.Config{}, named(t, "a"))
	if err := r.engine.Apply(r.proxy, r.sockets); err == nil || !strings.Contains(err.Error(), "use V1 or V2") {
		t.Errorf("%v", err)
	}
}

func maybeTLS(c net.Conn, secure bool) net.Conn {
	if secure {
		return tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	return c
}
