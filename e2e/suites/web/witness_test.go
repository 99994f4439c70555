package web

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// checkPath is what health checks ask for. They are answered, and are no part of what a witness has got.
const checkPath = "/check-up"

// witness is a server on a raw socket that keeps every byte it gets, and answers what it can read.
type witness struct {
	address netip.AddrPort

	mu    sync.Mutex
	conns []*conversation
}

// conversation is what came by a connection.
type conversation struct {
	net.Conn
	got  []byte // all but whole health checks
	read int    // messages were taken from got up to here
	old  int    // got was forgotten up to here
	// messages are those that were read and answered.
	messages []message
	over     bool
}

// message is a request as the witness reads it.
type message struct {
	// head is its request line and fields with their line ends, body its content, trailers what came behind it.
	head, body, trailers string
}

// listen makes a server on a host.
func listen(t *testing.T, in peers.Host, address string) net.Listener {
	t.Helper()
	var l net.Listener
	suite.Must(t, in(func() (err error) { l, err = net.Listen("tcp", address); return err }))
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// newWitness starts a witness on a host.
func newWitness(t *testing.T, in peers.Host, address string) *witness {
	t.Helper()
	l := listen(t, in, address)
	w := &witness{address: l.Addr().(*net.TCPAddr).AddrPort()}
	var all sync.WaitGroup
	all.Go(func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			v := &conversation{Conn: c}
			w.mu.Lock()
			w.conns = append(w.conns, v)
			w.mu.Unlock()
			all.Go(func() { w.serve(v) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		w.mu.Lock()
		for _, v := range w.conns {
			_ = v.Close()
		}
		w.mu.Unlock()
		all.Wait()
	})
	return w
}

// serve keeps and answers until the connection ends or what comes cannot be read.
func (w *witness) serve(v *conversation) {
	defer v.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := v.Read(buffer)
		w.mu.Lock()
		v.got = append(v.got, buffer[:n]...)
		answer := v.take()
		v.over = v.over || err != nil
		over := v.over
		w.mu.Unlock()
		if _, failed := v.Write(answer); failed != nil || over {
			w.mu.Lock()
			v.over = true
			w.mu.Unlock()
			return
		}
	}
}

// take reads the messages that are complete and returns the answers to them.
func (v *conversation) take() (answer []byte) {
	for !v.over {
		m, n, err := readMessage(v.got[v.read:])
		if err != nil {
			v.over = true
			return append(answer, "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"...)
		}
		if n == 0 {
			return answer
		}
		if strings.HasPrefix(m.head, "GET "+checkPath+" ") {
			v.got = slices.Delete(v.got, v.read, v.read+n)
		} else {
			v.read += n
			v.messages = append(v.messages, m)
		}
		answer = append(answer, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"...)
		v.over = m.closes()
	}
	return answer
}

// bytes is how much the witness has got.
func (w *witness) bytes() (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.conns {
		n += max(0, len(v.received())-v.old)
	}
	return n
}

// received is what came but for a health check that has not come in full.
func (v *conversation) received() []byte {
	rest, check := v.got[v.read:], []byte("GET "+checkPath+" ")
	if n := min(len(rest), len(check)); bytes.Equal(rest[:n], check[:n]) {
		return v.got[:v.read]
	}
	return v.got
}

// forget makes the witness forget what it got, and keeps its connections. The rest of a message whose first part is
// forgotten is still read as such.
func (w *witness) forget() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.conns {
		v.got, v.read, v.messages = slices.Clone(v.got[v.read:]), 0, nil
		v.old = len(v.got)
	}
	w.conns = slices.DeleteFunc(w.conns, func(v *conversation) bool { return v.over })
}

// seen is what the witness has got: the messages of all connections in their order, and whether anything came
// that is no whole message.
func (w *witness) seen() (all []message, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.conns {
		all = append(all, v.messages...)
		more = more || len(v.received()) > v.read
	}
	return all, more
}

// has tells whether these bytes came by any connection.
func (w *witness) has(part string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.conns, func(v *conversation) bool { return bytes.Contains(v.got, []byte(part)) })
}

// readMessage reads the message at the start of p, in the plainest way: what a front program writes needs no other.
// n is 0 while it is not complete.
func readMessage(p []byte) (m message, n int, err error) {
	end := bytes.Index(p, []byte("\r\n\r\n"))
	if end < 0 {
		return m, 0, nil
	}
	m.head = string(p[:end+2])
	rest := p[end+4:]
	if strings.EqualFold(m.field("Transfer-Encoding"), "chunked") {
		taken, err := m.readChunks(rest)
		if taken == 0 || err != nil {
			return m, 0, err
		}
		return m, end + 4 + taken, nil
	}
	length := 0
	if text := m.field("Content-Length"); text != "" {
		if length, err = strconv.Atoi(text); err != nil || length < 0 {
			return m, 0, errors.New("the length cannot be read")
		}
	}
	if len(rest) < length {
		return m, 0, nil
	}
	m.body = string(rest[:length])
	return m, end + 4 + length, nil
}

// readChunks reads a chunked body; taken is 0 while it is not complete.
func (m *message) readChunks(p []byte) (taken int, err error) {
	for {
		end := bytes.Index(p[taken:], []byte("\r\n"))
		if end < 0 {
			return 0, nil
		}
		size, err := strconv.ParseUint(string(p[taken:taken+end]), 16, 31)
		if err != nil {
			return 0, errors.New("the size of a chunk cannot be read")
		}
		taken += end + 2
		if size == 0 {
			return m.readTrailers(p, taken)
		}
		if len(p) < taken+int(size)+2 {
			return 0, nil
		}
		m.body += string(p[taken : taken+int(size)])
		taken += int(size)
		if string(p[taken:taken+2]) != "\r\n" {
			return 0, errors.New("a chunk is longer than its size")
		}
		taken += 2
	}
}

func (m *message) readTrailers(p []byte, from int) (taken int, err error) {
	if bytes.HasPrefix(p[from:], []byte("\r\n")) {
		return from + 2, nil
	}
	end := bytes.Index(p[from:], []byte("\r\n\r\n"))
	if end < 0 {
		return 0, nil
	}
	m.trailers = string(p[from : from+end+2])
	return from + end + 4, nil
}

// line is the request line.
func (m message) line() string {
	line, _, _ := strings.Cut(m.head, "\r\n")
	return line
}

// field returns the value of the last field of a name, "" without one.
func (m message) field(name string) (value string) {
	for l := range strings.SplitSeq(m.head, "\r\n") {
		if n, v, ok := strings.Cut(l, ":"); ok && strings.EqualFold(n, name) {
			value = strings.TrimSpace(v)
		}
	}
	return value
}

// hasField tells whether a field of a name is there, also among the trailers.
func (m message) hasField(name string) bool {
	return strings.Contains(strings.ToLower("\r\n"+m.head+"\r\n"+m.trailers), "\r\n"+strings.ToLower(name)+":")
}

// hasLine tells whether a line is there, also among the trailers. Names may be written in another case.
func (m message) hasLine(line string) bool {
	name, value, _ := strings.Cut(line, ":")
	for l := range strings.SplitSeq(m.head+m.trailers, "\r\n") {
		if n, v, ok := strings.Cut(l, ":"); ok && strings.EqualFold(n, name) && strings.Trim(v, " \t") == strings.Trim(value, " \t") {
			return true
		}
	}
	return false
}

func (m message) closes() bool { return strings.EqualFold(m.field("Connection"), "close") }
