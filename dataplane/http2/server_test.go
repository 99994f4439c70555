package http2_test

import (
	"bytes"
	"net"
	"strconv"
	"sync"

	"github.com/truepacs/balancer/dataplane/http2"
)

// driver joins a Conn to a socket with two goroutines: one reads, one writes.
type driver struct {
	mu     sync.Mutex
	change *sync.Cond
	conn   net.Conn
	c      *http2.Conn
	lost   bool
}

// serve drives a connection until it ends. The handler must be called from Conn only.
func serve(conn net.Conn, cfg http2.Config, h *answers) {
	d := &driver{conn: conn, c: http2.New(cfg, h)}
	h.pending = map[*http2.Stream]*answer{}
	d.change = sync.NewCond(&d.mu)
	var wait sync.WaitGroup
	wait.Go(d.write)
	d.read()
	wait.Wait()
}

func (d *driver) read() {
	buf := make([]byte, 16<<10)
	for {
		n, err := d.conn.Read(buf)
		d.mu.Lock()
		for d.c.Full() && !d.lost {
			d.change.Wait()
		}
		d.c.Feed(buf[:n])
		if err != nil {
			d.lost = true
			d.c.Abort()
		}
		over := d.lost
		d.change.Broadcast()
		d.mu.Unlock()
		if over {
			return
		}
	}
}

func (d *driver) write() {
	defer d.conn.Close()
	for {
		d.mu.Lock()
		for len(d.c.Output()) == 0 && !d.c.Ended() && !d.lost {
			d.change.Wait()
		}
		out := bytes.Clone(d.c.Output())
		d.mu.Unlock()
		if len(out) == 0 {
			return
		}
		n, err := d.conn.Write(out)
		d.mu.Lock()
		d.c.Sent(n)
		if err != nil {
			d.lost = true
			d.c.Abort()
		}
		d.change.Broadcast()
		d.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// answer is what is left to send on a stream.
type answer struct {
	rest []byte
	echo bool
	end  bool // rest is all
}

// answers is a handler: GET /<n> is answered with n bytes, POST with what it brings.
type answers struct {
	pending map[*http2.Stream]*answer
}

func (h *answers) Request(s *http2.Stream, r *http2.Request, end bool) {
	n, _ := strconv.Atoi(r.Path[1:])
	a := &answer{rest: make([]byte, n), echo: r.Method == "POST", end: end || r.Method != "POST"}
	for i := range a.rest {
		a.rest[i] = byte(i)
	}
	h.pending[s] = a
	w := s.Fields()
	w.Add([]byte("Content-Type"), []byte("application/dicom+json"))
	w.Add([]byte("X-Method"), []byte(r.Method))
	w.Add([]byte("X-Cookie"), r.AppendCookie(nil))
	if a.echo {
		w.Add([]byte("Trailer"), []byte("X-Sum"))
	}
	s.Respond(200, w, false)
	h.Writable(s)
}

func (h *answers) Data(s *http2.Stream, p []byte, end bool) {
	a := h.pending[s]
	if a == nil || !a.echo {
		s.Consumed(len(p))
		return
	}
	a.rest = append(a.rest, p...)
	a.end = end
	h.Writable(s)
}

func (h *answers) Trailers(s *http2.Stream, fields []http2.Field) {
	h.pending[s].end = true
	h.Writable(s)
}

func (h *answers) Reset(s *http2.Stream, _ http2.ErrCode) { delete(h.pending, s) }

func (h *answers) Writable(s *http2.Stream) {
	a := h.pending[s]
	if a == nil {
		return
	}
	n := s.Data(a.rest, a.end && !a.echo)
	a.rest = a.rest[n:]
	if a.echo {
		s.Consumed(n)
	}
	if len(a.rest) > 0 || !a.end {
		return
	}
	delete(h.pending, s)
	if a.echo {
		w := s.Fields()
		w.Add([]byte("X-Sum"), []byte("1"))
		s.Trailers(w)
	}
}
