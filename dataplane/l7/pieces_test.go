package l7_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
)

// trickle writes p in random pieces, so that every state of the engine meets every cut.
func trickle(c io.Writer, p string, random *rand.Rand, most int) {
	for len(p) > 0 {
		n := min(len(p), 1+random.IntN(most))
		if _, err := io.WriteString(c, p[:n]); err != nil {
			return
		}
		p = p[n:]
		if random.IntN(10) == 0 {
			time.Sleep(time.Duration(random.IntN(300)) * time.Microsecond)
		}
	}
}

// script is requests and their answers, by number, with what each side should make of the other's.
type script struct{ requests, contents, answers, bodies []string }

// newScript has each framing, interim answers, trailers, and bodies of size bytes.
func newScript(size int) script {
	pad := strings.Repeat("z", size)
	return script{
		requests: []string{
			"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n",
			"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody",
			"POST /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\nX-T: 1\r\n\r\n",
			"PUT /%d HTTP/1.1\r\nHost: a\r\nContent-Length: " + fmt.Sprint(size) + "\r\n\r\n" + pad,
		},
		contents: []string{"", "body", "body", pad},
		answers: []string{
			"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Pad: p\r\n\r\nhello",
			"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nX-Sum: 1\r\n\r\n",
			"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
			fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(pad), pad),
			fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(pad), pad),
			"HTTP/1.1 204 No Content\r\n\r\n",
		},
		bodies: []string{"hello", "hello", "hello", pad, pad, ""},
	}
}

// serve answers requests in random pieces.
func (s script) serve(t *testing.T, random *rand.Rand, most int) string {
	return scripted(t, func(c net.Conn, rd *bufio.Reader) {
		for {
			req, err := http.ReadRequest(rd)
			if err != nil {
				return
			}
			b, err := io.ReadAll(req.Body)
			var i int
			fmt.Sscanf(req.URL.Path, "/%d", &i)
			if err != nil || string(b) != s.contents[i%len(s.contents)] {
				t.Errorf("request %d: %d bytes, %v", i, len(b), err)
				return
			}
			trickle(c, s.answers[i%len(s.answers)], random, most)
		}
	})
}

// check reads answer i.
func (s script) check(t *testing.T, rd *bufio.Reader, i int) {
	t.Helper()
	var res *http.Response
	for res == nil || res.StatusCode == 103 {
		var err error
		if res, err = http.ReadResponse(rd, nil); err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
	}
	b, err := io.ReadAll(res.Body)
	if want := s.bodies[i%len(s.bodies)]; err != nil || string(b) != want {
		t.Fatalf("answer %d: %d bytes of %d, %v", i, len(b), len(want), err)
	}
}

// However requests and answers are cut into packets, what arrives is the same: in clear and in TLS, pipelined, in each
// framing, with interim answers and trailers.
func TestPiecesDoNotMatter(t *testing.T) {
	const seed = 20261123
	t.Logf("seed %d", seed)
	for _, secure := range []bool{false, true} {
		for most, count := range map[int]int{1: 12, 7: 24, 400: 48, 30_000: 96} {
			t.Run(fmt.Sprintf("TLS %v, up to %d bytes", secure, most), func(t *testing.T) {
				s := newScript(min(20_000, 300*most))
				r := newRig(t, l7.Config{}, s.serve(t, rand.New(rand.NewPCG(seed, 1)), most))
				if secure {
					r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example")}}
				}
				r.apply()
				c := dialMaybeTLS(r.addr(), secure)
				defer c.Close()
				c.SetDeadline(time.Now().Add(patience))
				var all bytes.Buffer
				for i := range count {
					fmt.Fprintf(&all, s.requests[i%len(s.requests)], i)
				}
				go trickle(c, all.String(), rand.New(rand.NewPCG(seed, 2)), most)
				rd := bufio.NewReader(c)
				for i := range count {
					s.check(t, rd, i)
				}
			})
		}
	}
}

// TLS sessions are resumed as before: with a ticket, by the same certificates, over several connections.
func TestTLSSessionsAreResumed(t *testing.T) {
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			r := tlsRig(t, echo, cert(t, "pacs.example")).apply()
			tr := &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{
				InsecureSkipVerify: true, ServerName: "pacs.example", MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4),
			}}
			for i := range 4 {
				res, err := (&http.Client{Transport: tr}).Get("https://" + r.addr())
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
				if res.TLS.DidResume != (i > 0) {
					t.Errorf("connection %d resumed: %v", i, res.TLS.DidResume)
				}
				r.proxy.Generation++
				r.apply() // nothing changed in TLS
			}
		})
	}
}
