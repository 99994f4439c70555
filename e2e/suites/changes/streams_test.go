package changes

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// Clients of HTTP/2 in upgrades. h2load will not do there: requests that it has counted and not yet sent when a connection is told
// to end (GOAWAY) are errors to it. This client opens no stream from then on, and wants each that it has opened to be answered,
// with no second try (RFC 9113 section 6.8).
const (
	h2Clients     = 8
	h2Streams     = 4
	h2StreamEvery = 80 * time.Millisecond
)

// requestStreams asks on one connection after the other, until the load ends.
func (l *load) requestStreams() {
	for !l.stopped(0) {
		if err := l.onConnection(); err != nil {
			l.fail("HTTP/2: " + err.Error())
		}
	}
}

// onConnection opens streams, several at a time, until the front ends the connection.
func (l *load) onConnection() error {
	c, err := l.w.dial(443)
	if err != nil {
		return err
	}
	defer c.Close()
	secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err := secure.Handshake(); err != nil {
		return err
	}
	s, err := newH2Session(secure)
	for next := uint32(1); err == nil && !s.leaving && !l.stopped(h2StreamEvery); next += 2 * h2Streams {
		if err = c.SetDeadline(time.Now().Add(patience)); err == nil {
			err = s.round(next)
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.streams += s.answered
	if s.leaving {
		l.goAways++
	}
	return err
}

// h2Session is the client's side of a connection.
type h2Session struct {
	net.Conn
	framer   *http2.Framer
	open     map[uint32]bool
	answered int
	// leaving: GOAWAY has come.
	leaving bool
}

func newH2Session(c net.Conn) (*h2Session, error) {
	s := &h2Session{Conn: c, framer: http2.NewFramer(c, c), open: map[uint32]bool{}}
	s.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		return s, err
	}
	return s, s.framer.WriteSettings()
}

// round opens streams from a number on and reads until they are answered.
func (s *h2Session) round(first uint32) error {
	for i := range uint32(h2Streams) {
		var block bytes.Buffer
		encoder := hpack.NewEncoder(&block)
		encoder.SetMaxDynamicTableSize(0)
		for _, f := range [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "pacs.example.org"}, {":path", paths()[int(first/2+i)%len(paths())]}} {
			_ = encoder.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
		}
		id := first + 2*i
		s.open[id] = true
		if err := s.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true}); err != nil {
			return err
		}
	}
	for len(s.open) > 0 {
		frame, err := s.framer.ReadFrame()
		if err != nil {
			return fmt.Errorf("with %d streams open: %w", len(s.open), err)
		}
		if err := s.take(frame); err != nil {
			return err
		}
	}
	return nil
}

// take reads a frame.
func (s *h2Session) take(frame http2.Frame) error {
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return s.framer.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return s.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		s.leaving = true
		for id := range s.open {
			if id > f.LastStreamID {
				return fmt.Errorf("stream %d was sent and is not to be answered: GOAWAY says %d", id, f.LastStreamID)
			}
		}
	case *http2.RSTStreamFrame:
		return fmt.Errorf("stream %d is reset: %s", f.StreamID, f.ErrCode)
	case *http2.MetaHeadersFrame:
		if status := f.PseudoValue("status"); status != "200" {
			return fmt.Errorf("stream %d is answered %s", f.StreamID, status)
		}
		s.end(f.StreamID, f.StreamEnded())
	case *http2.DataFrame:
		s.end(f.StreamID, f.StreamEnded())
		if f.Length > 0 {
			return s.framer.WriteWindowUpdate(0, f.Length)
		}
	}
	return nil
}

func (s *h2Session) end(stream uint32, ended bool) {
	if ended {
		delete(s.open, stream)
		s.answered++
	}
}
