package changes

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// lasting is how many connections of a kind stay.
const lasting = 50

// recordSize is the size of a record in bytes; a WebSocket's frame of it has the short length.
const recordSize = 120

// recordEvery is the time between two records of a connection.
const recordEvery = 100 * time.Millisecond

// Directions of records.
const (
	ask    = 'q'
	answer = 'a'
)

// link carries records.
type link interface {
	send(record []byte) error
	receive(record []byte) error
}

// record is number n of a direction: all of its bytes follow from these.
func record(direction byte, n uint64) []byte {
	r := make([]byte, recordSize)
	for i := range r {
		r[i] = direction ^ byte(n*31) + byte(i*7)
	}
	binary.BigEndian.PutUint64(r, n)
	return r
}

// answerAll answers each record, until the other side ends. An error says what was not as it was sent, or that the connection was
// cut.
func answerAll(l link) error {
	got := make([]byte, recordSize)
	for n := uint64(0); ; n++ {
		switch err := l.receive(got); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("record %d: %w", n, err)
		case !bytes.Equal(got, record(ask, n)):
			return fmt.Errorf("record %d is not what was sent", n)
		}
		if err := l.send(record(answer, n)); err != nil {
			return fmt.Errorf("answer %d: %w", n, err)
		}
	}
}

// stream is a TCP connection.
type stream struct {
	net.Conn
	r *bufio.Reader
}

func (s *stream) send(record []byte) error    { _, err := s.Write(record); return err }
func (s *stream) receive(record []byte) error { _, err := io.ReadFull(s.r, record); return err }

// socket is a WebSocket (RFC 6455) of binary frames of a record each.
type socket struct {
	net.Conn
	r *bufio.Reader
	// client masks its frames (section 5.3).
	client bool
}

const (
	finalBinary = 0x82
	masked      = 0x80
)

func (s *socket) send(record []byte) error {
	frame := append([]byte{finalBinary, byte(len(record))}, record...)
	if s.client {
		var key [4]byte
		_, _ = rand.Read(key[:])
		frame = append([]byte{finalBinary, masked | byte(len(record))}, key[:]...)
		for i, b := range record {
			frame = append(frame, b^key[i%4])
		}
	}
	_, err := s.Write(frame)
	return err
}

func (s *socket) receive(record []byte) error {
	var head [2]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return err
	}
	want := [2]byte{finalBinary, byte(len(record))}
	var key [4]byte
	if !s.client { // what comes is masked
		want[1] |= masked
		if _, err := io.ReadFull(s.r, key[:]); err != nil {
			return err
		}
	}
	if head != want {
		return fmt.Errorf("a frame begins with %x, not with %x", head, want)
	}
	_, err := io.ReadFull(s.r, record)
	for i := range record {
		record[i] ^= key[i%4]
	}
	return err
}

// acceptKey is what a server answers to a client's key (RFC 6455 section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// lastingConnections are connections that stay and carry records both ways.
type lastingConnections struct {
	w       *world
	all     sync.WaitGroup
	stop    chan struct{}
	halt    func()
	opened  int
	records atomic.Int64
	mu      sync.Mutex
	cut     []string
}

func (w *world) newLasting(t *testing.T) *lastingConnections {
	t.Helper()
	l := &lastingConnections{w: w, stop: make(chan struct{})}
	l.halt = sync.OnceFunc(func() { close(l.stop); l.all.Wait() })
	t.Cleanup(l.halt)
	return l
}

// open opens so many WebSockets, half of them over TLS, and as many streams.
func (l *lastingConnections) open(t *testing.T, each int) {
	t.Helper()
	for i := range each {
		s, err := l.w.openSocket(i%2 == 0)
		if err != nil {
			t.Fatalf("open WebSocket %d: %v", i, err)
		}
		l.keep(fmt.Sprintf("WebSocket %d", l.opened), s, s.Conn)
		c, err := l.w.openStream()
		if err != nil {
			t.Fatalf("open stream %d: %v", i, err)
		}
		l.keep(fmt.Sprintf("stream %d", l.opened), c, c.Conn)
		l.opened++
	}
}

func (w *world) openSocket(secure bool) (*socket, error) {
	dial, port := w.dial, uint16(80)
	if secure {
		dial, port = w.dialTLS, 443
	}
	c, err := dial(port)
	if err != nil {
		return nil, err
	}
	const key = "dGhlIHNhbXBsZSBub25jZQ=="
	if _, err := io.WriteString(c, "GET /members/socket HTTP/1.1\r\nHost: pacs.example.org\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: "+key+"\r\n\r\n"); err != nil {
		return nil, err
	}
	s := &socket{Conn: c, r: bufio.NewReader(c), client: true}
	answer, err := http.ReadResponse(s.r, nil)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusSwitchingProtocols || answer.Header.Get("Sec-WebSocket-Accept") != acceptKey(key) {
		return nil, fmt.Errorf("it was answered %s %v", answer.Status, answer.Header)
	}
	return s, nil
}

func (w *world) openStream() (*stream, error) {
	c, err := w.dial(9000)
	if err != nil {
		return nil, err
	}
	s := &stream{c, bufio.NewReader(c)}
	_, err = s.r.ReadString('\n')
	return s, err
}

// keep exchanges records until the connections are to end.
func (l *lastingConnections) keep(name string, s link, c net.Conn) {
	l.all.Go(func() {
		defer c.Close()
		tick := time.NewTicker(recordEvery)
		defer tick.Stop()
		for n := uint64(0); ; n++ {
			if err := exchange(s, c, n); err != nil {
				l.mu.Lock()
				defer l.mu.Unlock()
				l.cut = append(l.cut, fmt.Sprintf("%s, record %d, %s: %v", name, n, time.Now().Format(time.TimeOnly), err))
				return
			}
			l.records.Add(1)
			select {
			case <-l.stop:
				return
			case <-tick.C:
			}
		}
	})
}

func exchange(s link, c net.Conn, n uint64) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := s.send(record(ask, n)); err != nil {
		return err
	}
	got := make([]byte, recordSize)
	if err := s.receive(got); err != nil {
		return err
	}
	if !bytes.Equal(got, record(answer, n)) {
		return errors.New("it is not what the server sent")
	}
	return nil
}

// finish ends the connections and judges them.
func (l *lastingConnections) finish(t *testing.T) string {
	t.Helper()
	l.halt()
	l.w.servers.mu.Lock()
	defer l.w.servers.mu.Unlock()
	for _, what := range append(l.cut, l.w.servers.complaints...) {
		t.Error(what)
	}
	if least := int64(2 * l.opened * 10); l.opened == 0 || l.records.Load() < least {
		t.Errorf("%d connections of each kind had %d records, at least %d were to be", l.opened, l.records.Load(), least)
	}
	return fmt.Sprintf("%d WebSockets and %d TCP streams, %d records each way, %d cut", l.opened, l.opened, l.records.Load(), len(l.cut))
}
