package http2_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/http2/hpack"

	"github.com/truepacs/balancer/dataplane/http2"
)

// respond returns the frames of a response.
func respond(t *testing.T, do func(s *http2.Stream)) []string {
	t.Helper()
	p := connected(t, http2.Config{})
	p.request(1, "GET", true)
	p.feed()
	do(p.h.streams[1])
	return p.take()
}

func TestRespond(t *testing.T) {
	for name, tc := range map[string]struct {
		do   func(s *http2.Stream)
		want []string
	}{
		"no fields": {func(s *http2.Stream) { s.Respond(200, nil, true) }, []string{"HEADERS 1 :status=200 end"}},
		"interim": {func(s *http2.Stream) {
			s.Respond(100, nil, false)
			s.Respond(103, nil, true) // which is no end
			s.Respond(418, nil, true)
		}, []string{"HEADERS 1 :status=100", "HEADERS 1 :status=103", "HEADERS 1 :status=418 end"}},
		"only one final": {func(s *http2.Stream) {
			s.Respond(500, nil, false)
			s.Respond(200, nil, true)
		}, []string{"HEADERS 1 :status=500"}},
		"content before the head": {func(s *http2.Stream) {
			s.Data([]byte("x"), true)
			s.Trailers(nil)
			s.Respond(204, nil, true)
		}, []string{"HEADERS 1 :status=204 end"}},
		"names in lower case": {func(s *http2.Stream) {
			w := s.Fields()
			w.Add([]byte("Content-Type"), []byte("application/DICOM"))
			w.Add([]byte("X-Site"), nil)
			s.Respond(404, w, false)
		}, []string{"HEADERS 1 :status=404,content-type=application/DICOM,x-site="}},
		"connection-specific": {func(s *http2.Stream) {
			w := s.Fields()
			for _, name := range []string{"Connection", "Proxy-Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade"} {
				w.Add([]byte(name), []byte("x"))
			}
			s.Respond(304, w, true)
		}, []string{"HEADERS 1 :status=304 end"}},
		"trailers": {func(s *http2.Stream) {
			s.Respond(200, nil, false)
			s.Data([]byte("abc"), false)
			w := s.Fields()
			w.Add([]byte("Grpc-Status"), []byte("0"))
			s.Trailers(w)
			s.Trailers(w)
			s.Data([]byte("x"), true)
		}, []string{"HEADERS 1 :status=200", "DATA 1 3", "HEADERS 1 grpc-status=0 end"}},
		"more than a frame": {func(s *http2.Stream) {
			w := s.Fields()
			for range 3 {
				w.Add([]byte("a"), bytes.Repeat([]byte("x"), 15_000))
			}
			s.Respond(200, w, true)
		}, []string{"HEADERS 1 :status=200,a=(15000) end", "CONTINUATION 1 a=(15000)", "CONTINUATION 1 a=(15000)"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, respond(t, tc.do)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestEncoding: bytes as RFC 7541 has them. The first block says that the table is empty, whatever
// size the peer allows, so no later change of that size needs to be answered (section 4.2).
func TestEncoding(t *testing.T) {
	p := connected(t, http2.Config{})
	p.request(1, "GET", true)
	p.request(3, "GET", true)
	p.feed()
	w := p.c.Fields()
	w.Add([]byte("Server"), []byte("x"))
	w.Add([]byte("a"), []byte("y"))
	w.Add([]byte("Set-Cookie"), []byte("z"))
	w.Add([]byte("Location"), bytes.Repeat([]byte("l"), 127))
	p.h.streams[1].Respond(200, w, true)
	p.h.streams[3].Respond(201, nil, true)
	want := "\x00\x00\x92\x01\x05\x00\x00\x00\x01" + "\x20\x88" + // 146 bytes; table of 0; :status 200
		"\x0f\x27\x01x" + // without indexing, name 54
		"\x00\x01a\x01y" + // without indexing, new name
		"\x1f\x28\x01z" + // never indexed, name 55
		"\x0f\x1f\x7f\x00" + strings.Repeat("l", 127) + // name 46
		"\x00\x00\x05\x01\x05\x00\x00\x00\x03" + "\x08\x03201"
	if diff := cmp.Diff(want, string(p.c.Output())); diff != "" {
		t.Error(diff)
	}
}

// TestSecretsAreNeverIndexed by those that pass them on, RFC 7541 section 7.1.3.
func TestSecretsAreNeverIndexed(t *testing.T) {
	for name, want := range map[string]bool{
		"Set-Cookie": true, "Cookie": true, "Authorization": true, "Proxy-Authorization": true, "Server": false, "X-Other": false,
	} {
		p := connected(t, http2.Config{})
		p.request(1, "GET", true)
		p.feed()
		w := p.c.Fields()
		w.Add([]byte(name), []byte("x"))
		p.h.streams[1].Respond(200, w, true)
		got, err := hpack.NewDecoder(4096, nil).DecodeFull(p.c.Output()[9:])
		if err != nil || len(got) != 2 || got[1].Sensitive != want {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestStaticTable: every name is encoded as the name it stands for.
func TestStaticTable(t *testing.T) {
	for index := byte(15); index <= 61; index++ {
		fields, err := hpack.NewDecoder(4096, nil).DecodeFull([]byte{0x80 | index})
		if err != nil {
			t.Fatal(err)
		}
		name := fields[0].Name
		p := connected(t, http2.Config{})
		p.request(1, "GET", true)
		p.feed()
		w := p.c.Fields()
		w.Add([]byte(name), []byte("x"))
		p.h.streams[1].Respond(200, w, true)
		got, err := hpack.NewDecoder(4096, nil).DecodeFull(p.c.Output()[9:])
		if err != nil {
			t.Fatal(err)
		}
		if name == "transfer-encoding" {
			if len(got) != 1 {
				t.Errorf("%s: %v", name, got)
			}
			continue
		}
		if len(p.c.Output()) > 9+2+4 || got[1].Name != name || got[1].Value != "x" {
			t.Errorf("%s: %v in %d bytes", name, got, len(p.c.Output()))
		}
	}
}
