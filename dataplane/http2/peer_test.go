package http2_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/truepacs/balancer/dataplane/http2"
)

// peer is a client that can do everything wrong. Its frames are written by golang.org/x/net, and
// what comes back is read by it.
type peer struct {
	*xhttp2.Framer // writes to what is fed next

	tb      testing.TB
	c       *http2.Conn
	h       *recorder
	in      bytes.Buffer
	out     bytes.Buffer
	reader  *xhttp2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
	decoder *hpack.Decoder
	// feedErr is what Feed returned last.
	feedErr error
}

// recorder is a handler that writes down what it is told and does what a test wants.
type recorder struct {
	events  []string
	streams map[uint32]*http2.Stream
	// request, data and writable come after the note; nil: nothing.
	request  func(s *http2.Stream, r *http2.Request, end bool)
	data     func(s *http2.Stream, p []byte, end bool)
	writable func(s *http2.Stream)
}

func (h *recorder) note(format string, args ...any) {
	h.events = append(h.events, fmt.Sprintf(format, args...))
}

func (h *recorder) Request(s *http2.Stream, r *http2.Request, end bool) {
	h.streams[s.ID()] = s
	h.note("request %d %s %s end=%v", s.ID(), r.Method, r.Path, end)
	if h.request != nil {
		h.request(s, r, end)
	}
}

func (h *recorder) Data(s *http2.Stream, p []byte, end bool) {
	h.note("data %d %d end=%v", s.ID(), len(p), end)
	if h.data != nil {
		h.data(s, p, end)
	}
}

func (h *recorder) Trailers(s *http2.Stream, fields []http2.Field) {
	h.note("trailers %d %v", s.ID(), fields)
}

func (h *recorder) Reset(s *http2.Stream, code http2.ErrCode) {
	h.note("reset %d %v", s.ID(), code)
}

func (h *recorder) Writable(s *http2.Stream) {
	h.note("writable %d", s.ID())
	if h.writable != nil {
		h.writable(s)
	}
}

// take returns the notes since the last call.
func (h *recorder) take() []string {
	events := h.events
	h.events = nil
	return events
}

// newPeer returns a peer that has sent nothing.
func newPeer(tb testing.TB, cfg http2.Config) *peer {
	p := &peer{tb: tb, h: &recorder{streams: map[uint32]*http2.Stream{}}}
	p.c = http2.New(cfg, p.h)
	p.Framer = xhttp2.NewFramer(&p.in, nil)
	p.AllowIllegalWrites = true
	p.reader = xhttp2.NewFramer(nil, &p.out)
	p.encoder = hpack.NewEncoder(&p.block)
	p.decoder = hpack.NewDecoder(4096, nil)
	return p
}

// connected returns a peer after the start of a connection.
func connected(tb testing.TB, cfg http2.Config) *peer {
	p := newPeer(tb, cfg)
	p.in.WriteString(xhttp2.ClientPreface)
	p.WriteSettings()
	p.feed()
	p.take()
	return p
}

// fields encodes a field block: name, value, name, value.
func (p *peer) fields(fields ...string) []byte {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(p.block.Bytes())
}

// request sends the header section of a request that is in order, and what is given.
func (p *peer) request(id uint32, method string, end bool, fields ...string) {
	all := append([]string{":method", method, ":scheme", "https", ":authority", "pacs.example.org", ":path", "/"}, fields...)
	p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: id, BlockFragment: p.fields(all...), EndStream: end, EndHeaders: true})
}

// feed gives what was written to the connection.
func (p *peer) feed() {
	p.feedErr = p.c.Feed(p.in.Bytes())
	p.in.Reset()
}

// take sends the whole output and returns its frames.
func (p *peer) take() (frames []string) {
	p.tb.Helper()
	for len(p.c.Output()) > 0 {
		p.out.Write(p.c.Output())
		p.c.Sent(len(p.c.Output()))
	}
	return p.read()
}

// read returns the frames that came.
func (p *peer) read() (frames []string) {
	p.tb.Helper()
	for {
		f, err := p.reader.ReadFrame()
		if err == io.EOF {
			return frames
		}
		if err != nil {
			p.tb.Fatalf("output is not made of frames: %v", err)
		}
		frames = append(frames, p.describe(f))
	}
}

func (p *peer) describe(f xhttp2.Frame) string {
	end := ""
	if h := f.Header(); h.Flags.Has(xhttp2.FlagDataEndStream) && (h.Type == xhttp2.FrameData || h.Type == xhttp2.FrameHeaders) {
		end = " end"
	}
	switch f := f.(type) {
	case *xhttp2.DataFrame:
		return fmt.Sprintf("DATA %d %d%s", f.StreamID, len(f.Data()), end)
	case *xhttp2.HeadersFrame:
		return fmt.Sprintf("HEADERS %d %s%s", f.StreamID, p.decode(f.HeaderBlockFragment(), f.HeadersEnded()), end)
	case *xhttp2.ContinuationFrame:
		return fmt.Sprintf("CONTINUATION %d %s", f.StreamID, p.decode(f.HeaderBlockFragment(), f.HeadersEnded()))
	case *xhttp2.RSTStreamFrame:
		return fmt.Sprintf("RST_STREAM %d %v", f.StreamID, f.ErrCode)
	case *xhttp2.GoAwayFrame:
		return fmt.Sprintf("GOAWAY %d %v %s", f.LastStreamID, f.ErrCode, f.DebugData())
	case *xhttp2.WindowUpdateFrame:
		return fmt.Sprintf("WINDOW_UPDATE %d %d", f.StreamID, f.Increment)
	case *xhttp2.SettingsFrame:
		if f.IsAck() {
			return "SETTINGS ack"
		}
		var all []string
		f.ForeachSetting(func(s xhttp2.Setting) error {
			all = append(all, fmt.Sprintf("%d=%d", s.ID, s.Val))
			return nil
		})
		return "SETTINGS " + strings.Join(all, " ")
	case *xhttp2.PingFrame:
		return fmt.Sprintf("PING ack=%v %s", f.IsAck(), f.Data)
	}
	p.tb.Fatalf("output has a frame of type %v", f.Header().Type)
	return ""
}

// decode takes a part of a field block and returns the fields that are complete.
func (p *peer) decode(part []byte, last bool) string {
	var got []string
	p.decoder.SetEmitFunc(func(f hpack.HeaderField) {
		if len(f.Value) > 100 {
			f.Value = fmt.Sprintf("(%d)", len(f.Value))
		}
		got = append(got, f.Name+"="+f.Value)
	})
	if _, err := p.decoder.Write(part); err != nil {
		p.tb.Fatalf("output cannot be decoded: %v", err)
	}
	if last {
		if err := p.decoder.Close(); err != nil {
			p.tb.Fatalf("output cannot be decoded: %v", err)
		}
	}
	return strings.Join(got, ",")
}
