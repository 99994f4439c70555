package web

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// patience is how long the front may take for what it must do; no test passes by waiting.
const patience = 30 * time.Second

// trailing is the request that is sent behind another one, in the same write: whoever reads it although
// the first was refused has been made to by whatever stands before it.
const trailing = "GET /trailing HTTP/1.1\r\nHost: a\r\n\r\n"

// TestClassesAreDistinct guards the figures: a class that is there twice is no second class.
func TestClassesAreDistinct(t *testing.T) {
	names, wires := map[string]bool{}, map[string]string{}
	add := func(name, wire, why string) {
		if names[name] || wires[wire] != "" || why == "" {
			t.Errorf("%q is there twice (%q) or has no reason", name, wires[wire])
		}
		names[name], wires[wire] = true, name
	}
	for _, a := range requests() {
		add(a.name, a.wire, a.why)
	}
	for _, v := range allowed() {
		add(v.name, v.wire, v.why)
	}
	if len(requests()) < 60 || len(allowed()) < 60 {
		t.Errorf("%d ambiguous and %d valid classes", len(requests()), len(allowed()))
	}
}

// TestAmbiguousRequestsReachNoServer sends each class with a request behind it: at once, and, where the head is at fault, in two
// pieces cut anywhere. The servers, who keep every byte, get none, and the client is told why and cut off.
func TestAmbiguousRequestsReachNoServer(t *testing.T) {
	t.Parallel()
	servers, entries := newEntries(t)
	servers.forget()
	plan, err := plan().Read()
	suite.Must(t, err)
	r := rand.New(rand.NewPCG(plan.Seed, 0))
	all := requests()
	each(entries, all, func(e entry, a ambiguous) {
		t.Run(a.name+" by "+e.listener, func(t *testing.T) {
			cuts := []int{0}
			if !a.hidden {
				cuts = append(cuts, 1+r.IntN(len(a.wire)))
			}
			for _, cut := range cuts {
				statuses, closed := talk(t, e, a.wire[:cut], a.wire[cut:]+trailing, patience)
				if !slices.Equal(statuses, []int{a.answer()}) || !closed {
					t.Errorf("cut at %d: the client was told %v, closed %v, want %d and the end: %s", cut, statuses, closed, a.answer(), a.why)
				}
			}
			if n := servers.bytes(); n > 0 {
				got, _ := servers.seen()
				t.Errorf("a server got %d bytes, whole requests among them: %q", n, got)
				servers.forget()
			}
		})
	})
	if n := servers.bytes(); n > 0 {
		t.Errorf("a server got %d bytes after all", n)
	}
	// The same servers are reached by what is in order.
	if statuses, _ := talk(t, entries[0], "", trailing, time.Second); !slices.Equal(statuses, []int{200}) || !servers.has("GET /trailing") {
		t.Errorf("a request in order was told %v", statuses)
	}
	suite.Verdict(t, "%d classes of ambiguous requests, each with another request behind it, whole and cut by seed %d, in clear and in TLS: not a byte reached a server, each was answered and ended",
		len(all), plan.Seed)
}

// TestContentThatTurnsBadEndsTheRequest sends the head, waits until a server has it, and then content that is ambiguous: the
// server must not take the request for complete, nor get the one behind it.
func TestContentThatTurnsBadEndsTheRequest(t *testing.T) {
	t.Parallel()
	servers, entries := newEntries(t)
	hidden := slices.DeleteFunc(requests(), func(a ambiguous) bool { return !a.hidden })
	each(entries, hidden, func(e entry, a ambiguous) {
		t.Run(a.name+" by "+e.listener, func(t *testing.T) {
			servers.forget()
			head, body, _ := strings.Cut(a.wire, "\r\n\r\n")
			c := e.dial(t)
			send(t, c, head+"\r\n\r\n")
			until(t, "a server has the head", func() bool { return servers.has("POST / HTTP/1.1") })
			send(t, c, body+trailing)
			statuses, closed := answers(c, patience)
			if !closed || len(statuses) > 1 || len(statuses) == 1 && statuses[0] != 400 {
				t.Errorf("the client was told %v, closed %v: %s", statuses, closed, a.why)
			}
			until(t, "the server's connection ends", servers.ended)
			if got, _ := servers.seen(); len(got) > 0 || servers.has("trailing") {
				t.Errorf("a server read %q", got)
			}
		})
	})
	suite.Verdict(t, "%d classes of ambiguous content behind a head that a server had already, in clear and in TLS: none was taken for a whole request", len(hidden))
}

// TestValidRequestsReachTheServer sends each class with a request behind it: the server gets what the class says, the
// client its answers.
func TestValidRequestsReachTheServer(t *testing.T) {
	t.Parallel()
	servers, entries := newEntries(t)
	all := allowed()
	each(entries, all, func(e entry, v valid) {
		t.Run(v.name+" by "+e.listener, func(t *testing.T) {
			servers.forget()
			want := []int{200, 200}
			if v.last {
				want = want[:1]
			}
			c := e.dial(t)
			send(t, c, v.wire+trailing)
			if statuses := expect(c, v.wire, len(want), v.last); !slices.Equal(statuses, want) {
				t.Errorf("the client was told %v, want %v: %s", statuses, want, v.why)
			}
			got, more := servers.seen()
			if len(got) != len(want) || more {
				t.Fatalf("the server got %d requests, more %v: %q", len(got), more, got)
			}
			v.compare(t, got[0])
			if len(want) > 1 && got[1].line() != "GET /trailing HTTP/1.1" {
				t.Errorf("the request behind it came as %q", got[1].line())
			}
		})
	})
	suite.Verdict(t, "%d classes of valid requests, each with another request behind it, in clear and in TLS: all were passed on as they should be, none refused", len(all))
}

// compare fails if a server got something else than the class says.
func (v valid) compare(t *testing.T, m message) {
	t.Helper()
	if m.line() != v.line() {
		t.Errorf("the server saw %q, want %q: %s", m.line(), v.line(), v.why)
	}
	if m.body != v.body {
		t.Errorf("the server got content %q, want %q: %s", m.body, v.body, v.why)
	}
	for _, l := range v.has {
		if !m.hasLine(l) {
			t.Errorf("the server did not see %q: %s\n%s%s", l, v.why, m.head, m.trailers)
		}
	}
	for _, name := range v.lacks {
		if m.hasField(name) {
			t.Errorf("the server saw %s: %s\n%s%s", name, v.why, m.head, m.trailers)
		}
	}
}

// ended tells whether every connection that has brought something is over.
func (w *witness) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !slices.ContainsFunc(w.conns, func(v *conversation) bool { return !v.over && len(v.received()) > v.read })
}

// entry is a listener of a front, and how it is spoken to.
type entry struct {
	*peers.Peer
	listener string
	trust    *tls.Config // nil: in clear
	host     peers.Host
}

// newEntries starts TruePACS before a witness, with a listener in clear and one in TLS.
func newEntries(t *testing.T) (*witness, []entry) {
	t.Helper()
	in := newHost(t)
	servers := newWitness(t, in, server+":8080")
	a := newAuthority(t)
	p := peers.Start(t, in, peers.TruePACS, front(web("web", 80, servers.address), a.web("secure", 443, servers.address)))
	return servers, []entry{{p, "web", nil, in}, {p, "secure", a.trusting(t), in}}
}

// each calls a function for all classes by all entries.
func each[T any](entries []entry, classes []T, do func(entry, T)) {
	for _, e := range entries {
		for _, c := range classes {
			do(e, c)
		}
	}
}

// dial connects; TLS shakes hands with the first byte.
func (e entry) dial(t *testing.T) net.Conn {
	t.Helper()
	c, err := e.Dial(t.Context(), e.listener)
	suite.Must(t, err)
	return e.speak(t, c)
}

// dialFrom connects from an address.
func (e entry) dialFrom(t *testing.T, source net.IP) (c net.Conn) {
	t.Helper()
	l := e.Front.Listeners[slices.IndexFunc(e.Front.Listeners, func(l peers.Listener) bool { return l.Name == e.listener })]
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: source}}
	suite.Must(t, e.host(func() (err error) {
		c, err = dialer.DialContext(t.Context(), "tcp", netip.AddrPortFrom(e.Front.Address, l.Port).String())
		return err
	}))
	return e.speak(t, c)
}

func (e entry) speak(t *testing.T, c net.Conn) net.Conn {
	t.Cleanup(func() { _ = c.Close() })
	if e.trust != nil {
		return tls.Client(c, e.trust)
	}
	return c
}

// send writes all at once. The other side may have closed already.
func send(t *testing.T, c net.Conn, text string) {
	t.Helper()
	_ = c.SetWriteDeadline(time.Now().Add(patience))
	if n, err := io.WriteString(c, text); err != nil {
		t.Logf("%d of %d bytes sent: %v", n, len(text), err)
	}
}

// talk sends one piece, if there is one, and another on a connection of its own and returns the statuses of the answers, and
// whether the other side has closed within a time in which nothing came.
func talk(t *testing.T, e entry, first, rest string, quiet time.Duration) (statuses []int, closed bool) {
	t.Helper()
	c := e.dial(t)
	defer c.Close()
	if first != "" {
		send(t, c, first)
		time.Sleep(2 * time.Millisecond) // so that they are read apart
	}
	send(t, c, rest)
	return answers(c, quiet)
}

// answers reads answers until the connection ends or nothing comes for a while. Statuses below 200 are left out.
func answers(c net.Conn, quiet time.Duration) (statuses []int, closed bool) {
	return answersUpTo(c, 1000, quiet)
}

// answersUpTo reads so many answers at most.
func answersUpTo(c net.Conn, most int, quiet time.Duration) (statuses []int, closed bool) {
	var text strings.Builder
	buffer := make([]byte, 16<<10)
	for {
		if all := statusesOf(text.String()); len(all) >= most {
			return all, false
		}
		_ = c.SetReadDeadline(time.Now().Add(quiet))
		n, err := c.Read(buffer)
		text.Write(buffer[:n])
		if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
			return statusesOf(text.String()), false
		}
		if err != nil {
			return statusesOf(text.String()), true
		}
	}
}

// statusesOf finds status lines. No content that is sent here looks like one.
func statusesOf(text string) (all []int) {
	for l := range strings.SplitSeq(text, "\n") {
		var status int
		if i := strings.Index(l, "HTTP/1."); i >= 0 {
			if _, err := fmt.Sscanf(l[i+9:], "%d", &status); err == nil && status >= 200 {
				all = append(all, status)
			}
		}
	}
	return all
}

// expect reads so many answers, and the end of the connection if it is to end.
func expect(c net.Conn, wire string, n int, end bool) (statuses []int) {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	r := bufio.NewReader(c)
	method, _, _ := strings.Cut(strings.TrimPrefix(wire, "\r\n"), " ")
	for range n {
		res, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return statuses
		}
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		statuses = append(statuses, res.StatusCode)
		method = "GET"
	}
	if end {
		if _, err := r.ReadByte(); err != io.EOF {
			return append(statuses, -1)
		}
	}
	return statuses
}

// until waits for what must happen.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}
