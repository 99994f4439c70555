package http2_test

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/http2"
)

// fuzzConfig has limits that short inputs reach.
var fuzzConfig = http2.Config{
	MaxStreams: 4, StreamWindow: 65535, ConnWindow: 70_000, MaxFields: 1000, OutputLimit: 100_000, Resets: 8,
	Glitches: 40, ExtendedConnect: true,
}

// fuzzHandler answers in a way that does not depend on how content was cut, and keeps what it was
// told in such a form.
type fuzzHandler struct {
	log     []string
	content map[uint32]int // received
	credit  map[*http2.Stream]int
	left    map[*http2.Stream]int
	open    map[*http2.Stream]bool
	misuse  string
}

func (h *fuzzHandler) Request(s *http2.Stream, r *http2.Request, end bool) {
	h.log = append(h.log, fmt.Sprint("request ", s.ID(), *r, end))
	h.open[s] = true
	h.credit[s], h.left[s] = 0, 40_000
	s.Respond(100, nil, false)
	w := s.Fields()
	for _, f := range r.Fields {
		w.Add([]byte(f.Name), []byte(f.Value))
	}
	switch len(r.Path) % 4 {
	case 0:
		s.Respond(200, w, true)
	case 1:
		s.Reset(http2.InternalError)
		delete(h.open, s)
	case 2:
		s.Respond(200, w, false)
		h.Writable(s)
	}
}

func (h *fuzzHandler) Data(s *http2.Stream, p []byte, end bool) {
	h.known(s)
	h.content[s.ID()] += len(p)
	if end {
		h.log = append(h.log, fmt.Sprint("end ", s.ID(), " ", h.content[s.ID()]))
	}
	for h.credit[s] += len(p); h.credit[s] >= 100; h.credit[s] -= 100 {
		s.Consumed(100)
	}
	if end {
		s.Consumed(h.credit[s])
	}
}

func (h *fuzzHandler) Trailers(s *http2.Stream, fields []http2.Field) {
	h.known(s)
	h.log = append(h.log, fmt.Sprint("trailers ", s.ID(), fields))
}

func (h *fuzzHandler) Reset(s *http2.Stream, code http2.ErrCode) {
	h.known(s)
	delete(h.open, s)
	h.log = append(h.log, fmt.Sprint("reset ", s.ID(), " ", code))
}

func (h *fuzzHandler) Writable(s *http2.Stream) {
	h.known(s)
	n := s.Data(make([]byte, h.left[s]), true)
	h.log = append(h.log, fmt.Sprint("took ", s.ID(), " ", n))
	h.left[s] -= n
}

func (h *fuzzHandler) known(s *http2.Stream) {
	if !h.open[s] {
		h.misuse = fmt.Sprintf("told of stream %d, which is over", s.ID())
	}
}

// run feeds pieces and returns what happened, and the output.
func run(t *testing.T, pieces [][]byte) (string, []byte) {
	h := &fuzzHandler{
		content: map[uint32]int{}, credit: map[*http2.Stream]int{}, left: map[*http2.Stream]int{}, open: map[*http2.Stream]bool{},
	}
	c := http2.New(fuzzConfig, h)
	var err error
	size := 0
	for _, p := range pieces {
		err = c.Feed(p)
		size += len(p)
	}
	if most := 110_000 + 100*size; len(c.Output()) > most {
		t.Fatalf("%d bytes of output for %d of input", len(c.Output()), size)
	}
	if c.Streams() > int(fuzzConfig.MaxStreams) {
		t.Fatalf("%d streams", c.Streams())
	}
	if h.misuse != "" {
		t.Fatal(h.misuse)
	}
	content := slices.Sorted(maps.Keys(h.content))
	for _, id := range content {
		h.log = append(h.log, fmt.Sprint("content ", id, " ", h.content[id]))
	}
	h.log = append(h.log, fmt.Sprint(err, c.Streams()))
	return strings.Join(h.log, "\n"), bytes.Clone(c.Output())
}

// FuzzConn checks that nothing depends on how the bytes are cut, that all is bounded, and that the
// output is made of frames that another implementation reads.
func FuzzConn(f *testing.F) {
	for name, tc := range frames {
		p := newPeer(f, http2.Config{})
		p.request(1, "PUT", false)
		p.request(3, "GET", true, "a", "b")
		if tc.send(p); len(name)%2 == 0 {
			p.WriteWindowUpdate(0, 1000)
		}
		if p.in.Len() < 2000 {
			f.Add(bytes.Clone(p.in.Bytes()), uint8(len(name)))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte, cut uint8) {
		in = slices.Concat([]byte(xhttp2.ClientPreface+"\x00\x00\x00\x04\x00\x00\x00\x00\x00"), in)
		whole, out := run(t, [][]byte{in})
		cutLog, cutOut := run(t, slices.Collect(slices.Chunk(in, int(cut)+1)))
		if whole != cutLog {
			t.Fatalf("whole:\n%s\nin pieces of %d:\n%s", whole, int(cut)+1, cutLog)
		}
		if !bytes.Equal(out, cutOut) {
			t.Fatalf("output differs:\n%q\n%q", out, cutOut)
		}
		readable(t, out)
	})
}

// readable reads frames and field blocks as a client does.
func readable(t *testing.T, out []byte) {
	r := xhttp2.NewFramer(nil, bytes.NewReader(out))
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	for {
		if _, err := r.ReadFrame(); err == io.EOF {
			return
		} else if err != nil {
			t.Fatalf("output is refused: %v", err)
		}
	}
}

// FuzzRequest checks that what is accepted is a request of HTTP/1.1 too, which says the same.
func FuzzRequest(f *testing.F) {
	f.Add("GET", "pacs.example.org", "/dicom-web/studies?limit=1", "", "accept", "*/*", "cookie", "a=b")
	f.Add("POST", "[2001:db8::1]:8443", "/", "", "host", "[2001:DB8::1]:8443", "content-length", "17")
	f.Add("CONNECT", "pacs.example.org:443", "/ws", "websocket", "te", "trailers", "expect", "100-continue")
	f.Add("CONNECT", "pacs.example.org:443", "", "", "x", "", "y", "z")
	f.Add("OPTIONS", "pacs.example.org", "*", "", "x-forwarded-for", "192.0.2.1", "authorization", "x")
	f.Fuzz(func(t *testing.T, method, authority, path, protocol, name, value, name2, value2 string) {
		p := connected(t, http2.Config{ExtendedConnect: true})
		p.h.request = func(_ *http2.Stream, r *http2.Request, _ bool) {
			if !r.TooLarge {
				asHTTP1(t, r)
			}
		}
		fields := []string{":method", method, ":authority", authority}
		if path != "" {
			fields = append(fields, ":path", path, ":scheme", "https")
		}
		if protocol != "" {
			fields = append(fields, ":protocol", protocol)
		}
		block := p.fields(append(fields, name, value, name2, value2)...)
		if len(block) > 16384 {
			return
		}
		p.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 1, BlockFragment: block, EndHeaders: true})
		p.feed()
	})
}

// asHTTP1 writes r as a request of HTTP/1.1 and lets the strict parser read it.
func asHTTP1(t *testing.T, r *http2.Request) {
	target, method := r.Path, r.Method
	switch {
	case r.Protocol != "":
		method = "GET" // RFC 8441 section 5
	case r.Method == "CONNECT":
		target = r.Authority
	}
	head := http1.AppendRequestLine(nil, []byte(method), []byte(target))
	head = http1.AppendField(head, []byte("Host"), []byte(r.Authority))
	for _, f := range r.Fields {
		head = http1.AppendField(head, []byte(f.Name), []byte(f.Value))
	}
	head = http1.AppendEnd(head)
	var h1 http1.Request
	n, err := h1.Parse(head, http1.Limits{HeadBytes: 1 << 20, Fields: 10_000})
	if err != nil || n != len(head) {
		t.Fatalf("accepted, but not in HTTP/1.1: %v, %d of %d\n%q", err, n, len(head), head)
	}
	if string(h1.Bytes(h1.Authority)) != r.Authority || len(h1.Fields()) != len(r.Fields)+1 {
		t.Fatalf("reads differently: %q", head)
	}
	if h1.Body.Kind == http1.Length && h1.Body.Length != r.Length {
		t.Fatalf("length %d, was %d", h1.Body.Length, r.Length)
	}
}

// FuzzFields checks that what is encoded is decoded again by another implementation.
func FuzzFields(f *testing.F) {
	f.Add("Content-Type", "application/dicom+json")
	f.Add("Set-Cookie", "TPSERVER=pacs-a")
	f.Add(strings.Repeat("x", 300), strings.Repeat("y", 20_000))
	f.Fuzz(func(t *testing.T, name, value string) {
		p := connected(t, http2.Config{})
		p.request(1, "GET", true)
		p.feed()
		w := p.c.Fields()
		w.Add([]byte(name), []byte(value))
		p.h.streams[1].Respond(200, w, true)
		var block []byte
		r := xhttp2.NewFramer(nil, bytes.NewReader(p.c.Output()))
		for {
			frame, err := r.ReadFrame()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if h, ok := frame.(*xhttp2.HeadersFrame); ok {
				block = append(block, h.HeaderBlockFragment()...)
			} else {
				block = append(block, frame.(*xhttp2.ContinuationFrame).HeaderBlockFragment()...)
			}
		}
		got, err := hpack.NewDecoder(4096, nil).DecodeFull(block)
		if err != nil {
			t.Fatal(err)
		}
		b := []byte(name)
		for i, c := range b {
			if 'A' <= c && c <= 'Z' {
				b[i] = c + 'a' - 'A'
			}
		}
		switch string(b) {
		case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
			if len(got) != 1 {
				t.Fatalf("got %v", got)
			}
			return
		}
		if len(got) != 2 || got[1].Name != string(b) || got[1].Value != value {
			t.Fatalf("%q=%q reads %v", name, value, got)
		}
	})
}
