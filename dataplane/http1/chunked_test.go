package http1_test

import (
	"bytes"
	"io"
	"net/http/httputil"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/http1"
	"pgregory.net/rapid"
)

// decode feeds the decoder pieces of step bytes, each at an address of its own.
func decode(d *http1.ChunkDecoder, in string, step int) (content string, consumed int, err error) {
	var out []byte
	for consumed < len(in) && !d.Done() {
		p := []byte(in[consumed:min(consumed+step, len(in))])
		from, n, err := d.Next(p)
		out = append(out, p[from:n]...)
		consumed += n
		if err != nil {
			return string(out), consumed, err
		}
	}
	return string(out), consumed, nil
}

func TestChunkedBodies(t *testing.T) {
	for name, tc := range map[string]struct{ in, want, trailers string }{
		"empty":              {"0\r\n\r\n", "", ""},
		"one":                {"5\r\nhello\r\n0\r\n\r\n", "hello", ""},
		"two":                {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", ""},
		"upper-case hex":     {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
		"lower-case hex":     {"a\r\n0123456789\r\n0\r\n\r\n", "0123456789", ""},
		"leading zeros":      {"0005\r\nhello\r\n000\r\n\r\n", "hello", ""},
		"extension":          {"5;a=b;c\r\nhello\r\n0;x\r\n\r\n", "hello", ""},
		"quoted extension":   {"5;a=\"b c\"\r\nhello\r\n0\r\n\r\n", "hello", ""},
		"trailers":           {"1\r\nx\r\n0\r\nX-Sum: 1\r\nDate: d\r\n\r\n", "x", "X-Sum: 1\r\nDate: d\r\n"},
		"forbidden trailers": {"0\r\nContent-Length: 5\r\nX: 1\r\nX-Forwarded-For: y\r\nHost: z\r\n\r\n", "", "X: 1\r\n"},
		"CRLF in the data":   {"4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var d http1.ChunkDecoder
			for _, step := range []int{1, 2, 3, 7, 1 << 20} {
				d.Reset()
				got, n, err := decode(&d, tc.in+"GET", step)
				if err != nil || !d.Done() || n != len(tc.in) || got != tc.want || string(d.Trailers()) != tc.trailers {
					t.Fatalf("step %d: %q, %d of %d, done %v, trailers %q, error %v", step, got, n, len(tc.in), d.Done(), d.Trailers(), err)
				}
				d.Reset()
				all := []byte(tc.in + "GET")
				m, n, err := d.Decode(all)
				if err != nil || string(all[:m]) != tc.want || n != len(tc.in) || string(all[n:]) != "GET" {
					t.Fatalf("Decode: %q, %d, %v", all[:m], n, err)
				}
			}
		})
	}
}

func TestBadChunkedBodiesAreRefused(t *testing.T) {
	for name, in := range map[string]string{
		"no size":                "\r\nhello\r\n",
		"sign":                   "+5\r\nhello\r\n",
		"minus":                  "-5\r\nhello\r\n",
		"prefix":                 "0x5\r\nhello\r\n",
		"space first":            " 5\r\nhello\r\n",
		"space after":            "5 \r\nhello\r\n",
		"space before extension": "5 ;a\r\nhello\r\n",
		"letter":                 "g\r\n",
		"overflow":               "10000000000000005\r\nhello\r\n",
		"16 digits":              "0000000000000005\r\nhello\r\n",
		"bare LF after size":     "5\nhello\r\n",
		"bare CR after size":     "5\rhello\r\n",
		"bare LF in extension":   "5;a\nhello\r\n",
		"NUL in extension":       "5;a\x00\r\nhello\r\n",
		"CR in extension":        "5;a\rb\r\nhello\r\n",
		"bare LF after chunk":    "5\r\nhello\n0\r\n\r\n",
		"bare CR after chunk":    "5\r\nhello\r0\r\n\r\n",
		"other for LF":           "5\r\nhello\rX0\r\n\r\n",
		"chunk too long":         "5\r\nhello!\r\n0\r\n\r\n",
		"bare LF at the end":     "0\r\n\n",
		"bare LF in trailer":     "0\r\nX: 1\n\r\n",
		"folded trailer":         "0\r\nX: 1\r\n 2\r\n\r\n",
		"trailer without colon":  "0\r\nX\r\n\r\n",
		"trailer with space":     "0\r\nX : 1\r\n\r\n",
		"CR in trailer":          "0\r\nX: 1\r2\r\n\r\n",
		"long extension":         "5;" + strings.Repeat("a", 4096) + "\r\nhello\r\n",
		"many extensions":        strings.Repeat("1;"+strings.Repeat("a", 1000)+"\r\nx\r\n", 20),
		"large trailers":         "0\r\n" + strings.Repeat("X: 1\r\n", 2000) + "\r\n",
		"large dropped trailers": "0\r\n" + strings.Repeat("Host: 1\r\n", 2000) + "\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			for _, step := range []int{1, 1 << 20} {
				var d http1.ChunkDecoder
				if _, n, err := decode(&d, in, step); err == nil {
					t.Errorf("step %d: accepted %d of %d bytes", step, n, len(in))
				}
			}
		})
	}
}

// What the encoder writes the standard library reads, and the other way round.
func TestChunkedAgainstStandardLibrary(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOf(rapid.SliceOfN(rapid.Byte(), 1, 300)).Draw(t, "pieces")
		step := rapid.IntRange(1, 64).Draw(t, "step")
		var ours []byte
		var theirs bytes.Buffer
		w := httputil.NewChunkedWriter(&theirs)
		for _, p := range pieces {
			ours = http1.AppendChunk(ours, p)
			if _, err := w.Write(p); err != nil {
				t.Fatal(err)
			}
		}
		w.Close()
		ours = http1.AppendLastChunk(ours, nil)
		want := bytes.Join(pieces, nil)
		if got, err := io.ReadAll(httputil.NewChunkedReader(bytes.NewReader(ours))); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("standard library read %d bytes of ours, want %d: %v", len(got), len(want), err)
		}
		var d http1.ChunkDecoder
		if got, _, err := decode(&d, theirs.String()+"\r\n", step); err != nil || !d.Done() || got != string(want) {
			t.Fatalf("read %d bytes of theirs, want %d: %v", len(got), len(want), err)
		}
	})
}
