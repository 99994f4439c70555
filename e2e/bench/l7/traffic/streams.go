package traffic

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// streams is a connection of HTTP/2 (RFC 9113) that has a number of requests open at once.
type streams struct {
	net.Conn
	order  *Order
	frames *http2.Framer
	out    *bufio.Writer
	decode *hpack.Decoder
	header []byte // of each request
	next   uint32
	open   map[uint32]*stream
	status string
	cookie string
}

// stream is a request in progress.
type stream struct {
	began time.Time
	got   int64
	ok    bool // the status is 200
}

// window is as large as it may become (RFC 9113 section 6.9.1), so that nothing waits for the load.
const window = 1<<31 - 1

func newStreams(c net.Conn, order *Order) (*streams, error) {
	s := &streams{Conn: c, order: order, out: bufio.NewWriter(c), next: 1, open: map[uint32]*stream{}}
	s.frames = http2.NewFramer(s.out, bufio.NewReaderSize(c, 64<<10))
	s.frames.SetReuseFrames()
	s.decode = hpack.NewDecoder(4096, s.field)
	s.encode("")
	_, _ = s.out.WriteString(http2.ClientPreface)
	err := errors.Join(
		s.frames.WriteSettings(http2.Setting{ID: http2.SettingEnablePush}, http2.Setting{ID: http2.SettingInitialWindowSize, Val: window}),
		s.frames.WriteWindowUpdate(0, window-65535),
		s.out.Flush())
	return s, err
}

// field takes a field of an answer's head.
func (s *streams) field(f hpack.HeaderField) {
	switch f.Name {
	case ":status":
		s.status = f.Value
	case "set-cookie":
		s.cookie, _, _ = strings.Cut(f.Value, ";")
	}
}

// encode makes the head of all further requests. It leaves the server's table alone.
func (s *streams) encode(cookie string) {
	var b strings.Builder
	e := hpack.NewEncoder(&b)
	e.SetMaxDynamicTableSizeLimit(0)
	fields := [][2]string{{":method", "GET"}, {":scheme", "https"}, {":authority", "pacs.example.org"}, {":path", s.order.path()}, {"user-agent", "viewer"}, {"accept", "*/*"}}
	if cookie != "" {
		fields = append(fields, [2]string{"cookie", cookie})
	}
	for _, f := range fields {
		_ = e.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]})
	}
	s.header = []byte(b.String())
}

// run implements lane.
func (s *streams) run(next func() bool, note func(int64, time.Duration)) error {
	for range max(1, s.order.Streams) {
		if !next() {
			break
		}
		s.begin()
	}
	for len(s.open) > 0 {
		_ = s.SetDeadline(time.Now().Add(patience))
		if err := s.out.Flush(); err != nil {
			return err
		}
		ended, err := s.read()
		if err != nil {
			return err
		}
		if ended == nil {
			continue
		}
		note(ended.got, time.Since(ended.began))
		if next() {
			s.begin()
		}
	}
	return s.out.Flush()
}

// begin sends a request, with the next flush.
func (s *streams) begin() {
	id := s.next
	s.next += 2
	s.open[id] = &stream{began: time.Now()}
	_ = s.frames.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: s.header, EndStream: true, EndHeaders: true})
}

// read takes one frame, and returns the stream that it ends.
func (s *streams) read() (*stream, error) {
	frame, err := s.frames.ReadFrame()
	if err != nil {
		return nil, err
	}
	id := frame.Header().StreamID
	st := s.open[id]
	switch f := frame.(type) {
	case *http2.SettingsFrame:
		if !f.IsAck() {
			return nil, s.frames.WriteSettingsAck()
		}
	case *http2.PingFrame:
		if !f.IsAck() {
			return nil, s.frames.WritePing(true, f.Data)
		}
	case *http2.HeadersFrame:
		return s.head(id, st, f)
	case *http2.DataFrame:
		return s.data(id, st, f)
	case *http2.RSTStreamFrame:
		return nil, fmt.Errorf("stream %d was reset: %s", id, f.ErrCode)
	case *http2.GoAwayFrame:
		return nil, fmt.Errorf("the front goes away: %s %q", f.ErrCode, f.DebugData())
	}
	return nil, nil
}

func (s *streams) head(id uint32, st *stream, f *http2.HeadersFrame) (*stream, error) {
	if st == nil || !f.HeadersEnded() {
		return nil, fmt.Errorf("an answer's head on stream %d that was not expected so", id)
	}
	s.status, s.cookie = "", ""
	if _, err := s.decode.Write(f.HeaderBlockFragment()); err != nil {
		return nil, err
	}
	if s.status != "200" {
		return nil, fmt.Errorf("status %q", s.status)
	}
	if st.ok = true; s.cookie != "" {
		s.encode(s.cookie)
	}
	return s.ends(id, st, f.StreamEnded())
}

func (s *streams) data(id uint32, st *stream, f *http2.DataFrame) (*stream, error) {
	if st == nil || !st.ok {
		return nil, fmt.Errorf("content on stream %d before its head", id)
	}
	if err := verify(f.Data(), st.got); err != nil {
		return nil, err
	}
	st.got += int64(len(f.Data()))
	if n := f.Length; n > 0 {
		if err := s.frames.WriteWindowUpdate(0, n); err != nil {
			return nil, err
		}
	}
	return s.ends(id, st, f.StreamEnded())
}

// ends forgets a stream that has ended.
func (s *streams) ends(id uint32, st *stream, ended bool) (*stream, error) {
	if !ended {
		return nil, nil
	}
	delete(s.open, id)
	want := s.order.Size
	if want == 0 {
		want = Small
	}
	if st.got != want {
		return nil, fmt.Errorf("the answer has %d bytes, not %d", st.got, want)
	}
	return st, nil
}
