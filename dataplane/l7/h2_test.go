package l7_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
)

// h2Client is a client that speaks HTTP/2 only, on one connection.
func (r *rig) h2Client() *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true, ForceAttemptHTTP2: true, MaxConnsPerHost: 1}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// fetch sends a request over HTTP/2 and returns the answer with its content.
func fetch(t *testing.T, c *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	res, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.ProtoMajor != 2 {
		t.Fatalf("answered by %s", res.Proto)
	}
	return res, string(b)
}

func request(t *testing.T, method, url string, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestHTTP2Requests(t *testing.T) {
	r := tlsRig(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("X-Saw", fmt.Sprintf("%s %s %s %d %q %v %q %q", r.Method, r.URL, r.Host, len(b), r.Header.Get("Cookie"), r.TransferEncoding, r.Header["Te"], r.Header["Connection"]))
		w.Header().Set("Connection", "close")
		if r.URL.Path == "/empty" {
			w.WriteHeader(204)
			return
		}
		w.Write(b)
	}, cert(t, "pacs.example"))
	r.web().XForwardedFor = true
	r.web().Cookie = &model.Cookie{Name: "K"}
	r.apply()
	c, url := r.h2Client(), "https://"+r.addr()
	long := strings.Repeat("0123456789abcdef", 1<<16)
	for name, tc := range map[string]struct {
		method, path string
		body         io.Reader
		saw, got     string
	}{
		"GET":             {"GET", "/a?b=c", nil, `GET /a?b=c ` + r.addr() + ` 0 "one=1; two=2" [] [] []`, ""},
		"HEAD":            {"HEAD", "/", nil, `HEAD / ` + r.addr() + ` 0 "one=1; two=2" [] [] []`, ""},
		"no content":      {"GET", "/empty", nil, `GET /empty ` + r.addr() + ` 0 "one=1; two=2" [] [] []`, ""},
		"length":          {"POST", "/up", strings.NewReader("hello"), `POST /up ` + r.addr() + ` 5 "one=1; two=2" [] [] []`, "hello"},
		"empty content":   {"PUT", "/up", strings.NewReader(""), `PUT /up ` + r.addr() + ` 0 "one=1; two=2" [] [] []`, ""},
		"long":            {"POST", "/up", strings.NewReader(long), fmt.Sprintf(`POST /up %s %d "one=1; two=2" [] [] []`, r.addr(), len(long)), long},
		"without length":  {"POST", "/up", io.MultiReader(strings.NewReader("hello")), `POST /up ` + r.addr() + ` 5 "one=1; two=2" [chunked] [] []`, "hello"},
		"long, no length": {"POST", "/up", io.MultiReader(strings.NewReader(long)), fmt.Sprintf(`POST /up %s %d "one=1; two=2" [chunked] [] []`, r.addr(), len(long)), long},
	} {
		t.Run(name, func(t *testing.T) {
			req := request(t, tc.method, url+tc.path, tc.body)
			req.Header["Cookie"] = []string{"one=1", "two=2"}
			req.Header.Set("Te", "trailers")
			res, body := fetch(t, c, req)
			if saw := res.Header.Get("X-Saw"); saw != tc.saw {
				t.Errorf("the server saw %s, want %s", saw, tc.saw)
			}
			if body != tc.got || res.Header.Get("Connection") != "" || len(res.Cookies()) != 1 {
				t.Errorf("got %d bytes, want %d; %v", len(body), len(tc.got), res.Header)
			}
		})
	}
	if n := r.engine.Stats().Listeners[0].Total; n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
	eventually(t, "all is logged", func() bool { return strings.Count(r.log.String(), `"termination":"--"`) == 8 })
}

func TestHTTP2Trailers(t *testing.T) {
	r := tlsRig(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		b, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %q %q", b, r.Trailer["Check"], r.Trailer["Content-Length"])
		w.(http.Flusher).Flush()
		w.Header().Set("Grpc-Status", "7")
	}, cert(t, "pacs.example")).apply()
	req := request(t, "POST", "https://"+r.addr(), io.MultiReader(strings.NewReader("hello")))
	req.Trailer = http.Header{"Check": {"sum"}}
	res, body := fetch(t, r.h2Client(), req)
	if body != `hello ["sum"] []` || res.Trailer.Get("Grpc-Status") != "7" {
		t.Errorf("got %s and %v", body, res.Trailer)
	}
}

// Many streams at a time, each with content of its own in both directions.
func TestHTTP2StreamsBesideEachOther(t *testing.T) {
	r := tlsRig(t, func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(w, r.Body)
	}, cert(t, "pacs.example")).apply()
	c := r.h2Client()
	var all sync.WaitGroup
	for i := range 64 {
		all.Go(func() {
			content := bytes.Repeat([]byte{byte(i)}, 1000+i*5000)
			res, err := c.Post("https://"+r.addr(), "x/y", io.MultiReader(bytes.NewReader(content)))
			if err != nil {
				t.Error(err)
				return
			}
			defer res.Body.Close()
			if got, err := io.ReadAll(res.Body); err != nil || !bytes.Equal(got, content) {
				t.Errorf("stream %d got %d bytes of %d, %v", i, len(got), len(content), err)
			}
		})
	}
	all.Wait()
	if n := r.engine.Stats().Listeners[0]; n.Total != 1 || n.Requests != 64 || n.Errors != 0 {
		t.Errorf("%+v", n)
	}
}

func TestHTTP2Refusals(t *testing.T) {
	r := tlsRig(t, func(http.ResponseWriter, *http.Request) { t.Error("the server got a request") }, cert(t, "pacs.example"))
	r.web().Routes = []model.Route{{Name: "r", PathPrefixes: []string{"/x"}, Pool: "main"}}
	r.apply()
	for name, tc := range map[string]struct {
		fields []string
		status string // empty: the stream is reset
	}{
		"CONNECT":          {[]string{":method", "CONNECT", ":authority", "a:443"}, "405"},
		"other protocol":   {[]string{":method", "CONNECT", ":protocol", "connect-udp", ":scheme", "https", ":path", "/", ":authority", "a:443"}, "405"},
		"dot segments":     {[]string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/x/../y"}, "400"},
		"no host":          {[]string{":method", "GET", ":scheme", "https", ":path", "/x"}, ""},
		"fragment":         {[]string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/x#y"}, ""},
		"too large":        {[]string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/x", "x", strings.Repeat("x", 40_000)}, "431"},
		"space in path":    {[]string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/x HTTP/1.1"}, ""},
		"line end in path": {[]string{":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/x\r\nX: y"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := dialFrames(t, r.addr())
			c.request(1, true, tc.fields...)
			if got := c.answer(1); got.status != tc.status {
				t.Errorf("status %q, want %q; %+v", got.status, tc.status, got)
			}
		})
	}
}

// A response that breaks off must not look complete.
func TestHTTP2ServerBreaksOff(t *testing.T) {
	r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		head(t, rd)
		io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\nhalf")
		c.(*net.TCPConn).SetLinger(0)
	}), scripted(t, func(c net.Conn, rd *bufio.Reader) {
		head(t, rd)
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
	}))
	r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example")}}
	r.apply()
	for range 2 {
		res, err := r.h2Client().Get("https://" + r.addr())
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err == nil || !strings.Contains(err.Error(), "INTERNAL_ERROR") || string(b) != "half" {
			t.Errorf("got %q, %v", b, err)
		}
	}
}

// A client that gives a request up is noticed; the others go on.
func TestHTTP2ClientCancels(t *testing.T) {
	gone, let := make(chan struct{}), make(chan struct{})
	r := tlsRig(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stay" {
			<-let
			io.WriteString(w, "stayed")
			return
		}
		<-r.Context().Done()
		close(gone)
	}, cert(t, "pacs.example")).apply()
	c := r.h2Client()
	stayed := make(chan string)
	go func() {
		res, err := c.Get("https://" + r.addr() + "/stay")
		if err != nil {
			stayed <- err.Error()
			return
		}
		defer res.Body.Close()
		b, _ := io.ReadAll(res.Body)
		stayed <- string(b)
	}()
	ctx, cancel := context.WithCancel(t.Context())
	req := request(t, "GET", "https://"+r.addr()+"/go", nil).WithContext(ctx)
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := c.Do(req); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	<-gone
	close(let)
	if got := <-stayed; got != "stayed" {
		t.Errorf("the other stream got %s", got)
	}
	if n := r.engine.Stats().Listeners[0].Total; n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

// A request that is given up as soon as it is made is not begun (CVE-2023-44487).
func TestHTTP2GivenUpAtOnce(t *testing.T) {
	r := tlsRig(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }, cert(t, "pacs.example")).apply()
	c := dialFrames(t, r.addr())
	conn := c.conn
	var together bytes.Buffer
	c.framer = http2.NewFramer(&together, conn)
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	c.request(1, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/first") // leaves a connection to the server
	conn.Write(together.Bytes())
	c.answer(1)
	together.Reset()
	for id := uint32(3); id < 41; id += 2 {
		c.request(id, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/given-up")
		c.framer.WriteRSTStream(id, http2.ErrCodeCancel)
	}
	c.request(41, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/kept")
	if _, err := conn.Write(together.Bytes()); err != nil {
		t.Fatal(err)
	}
	if got := c.answer(41); got.body.String() != "/kept" {
		t.Errorf("%+v", got)
	}
	if n := r.engine.Stats().Servers[0].Requests; n != 2 {
		t.Errorf("a server was given %d requests, want 2", n)
	}
}

// An answer before the end of the request arrives, and the rest of the request need not be sent.
func TestHTTP2EarlyAnswer(t *testing.T) {
	r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) {
		head(t, rd)
		io.WriteString(c, "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
	}))
	r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example")}}
	r.apply()
	c := dialFrames(t, r.addr())
	c.request(1, false, ":method", "POST", ":scheme", "https", ":authority", "a", ":path", "/")
	if got := c.answer(1); got.status != "413" || got.body.String() != "big" {
		t.Errorf("%+v", got)
	}
	if code := c.reset(1); code != http2.ErrCodeNo {
		t.Errorf("the request was reset with %v, want NO_ERROR", code)
	}
}

// A client that does not read has the server wait, and costs no memory to speak of.
func TestHTTP2SlowReader(t *testing.T) {
	sum, sent := sha256.New(), make(chan int64, 1)
	const size = 64 << 20
	r := tlsRig(t, func(w http.ResponseWriter, _ *http.Request) {
		n, _ := io.CopyN(io.MultiWriter(w, sum), newPattern(), size)
		sent <- n
	}, cert(t, "pacs.example")).apply()
	res, err := r.h2Client().Get("https://" + r.addr())
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	select {
	case <-sent:
		t.Fatal("the server could send all of it to nobody")
	case <-time.After(300 * time.Millisecond):
	}
	got := sha256.New()
	if n, err := io.Copy(got, res.Body); n != size || err != nil || !bytes.Equal(got.Sum(nil), sum.Sum(nil)) {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// WebSocket over HTTP/2, RFC 8441: both directions, and the end of each.
func TestHTTP2WebSocket(t *testing.T) {
	for name, tc := range map[string]struct{ accept, status string }{
		"agreed":          {"", "200"},
		"wrong key":       {"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", "502"},
		"refused":         {"no", "403"},
		"not understood":  {"200", "502"},
		"another version": {"426", "426"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, l7.Config{}, scripted(t, func(c net.Conn, rd *bufio.Reader) { webSocket(t, c, rd, tc.accept) }))
			r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "pacs.example")}}
			r.apply()
			c := dialFrames(t, r.addr())
			c.request(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "https", ":authority", "a", ":path", "/ws", "sec-websocket-version", "13")
			if got := c.head(1); got.status != tc.status || got.fields["sec-websocket-accept"] != "" {
				t.Fatalf("%+v, want %s", got, tc.status)
			}
			if tc.status != "200" {
				return
			}
			c.data(1, false, "early ")
			c.data(1, true, "bytes")
			if got := c.answer(1); got.body.String() != "firstearly byteslast" {
				t.Errorf("tunnel carried %q", got.body.String())
			}
			eventually(t, "it is logged", func() bool { return strings.Contains(r.log.String(), `"status":101`) })
		})
	}
}

// Drain lets streams end and opens no more.
func TestHTTP2Drain(t *testing.T) {
	let := make(chan struct{})
	r := tlsRig(t, func(w http.ResponseWriter, _ *http.Request) {
		<-let
		io.WriteString(w, "in time")
	}, cert(t, "pacs.example")).apply()
	c := dialFrames(t, r.addr())
	idle := dialFrames(t, r.addr())
	idle.request(1, true, ":method", "CONNECT", ":authority", "a:1") // not a stream for a server
	idle.answer(1)
	c.request(1, true, ":method", "GET", ":scheme", "https", ":authority", "a", ":path", "/")
	eventually(t, "the request is on its way", func() bool { return r.engine.Stats().Servers[0].Requests == 1 })
	drained := make(chan error)
	go func() { drained <- r.engine.Drain(t.Context()) }()
	eventually(t, "the connection without requests ends", func() bool { return idle.closed() })
	close(let)
	if got := c.answer(1); got.body.String() != "in time" {
		t.Errorf("%+v", got)
	}
	if !c.closed() || c.goAway == nil {
		t.Error("no GOAWAY came")
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
}

// A connection that begins a frame and does not end it is closed.
func TestHTTP2HeaderTimeout(t *testing.T) {
	for name, begin := range map[string]string{"preface": "PRI", "frame": http2.ClientPreface + "\x00\x00\x06\x04\x00\x00\x00\x00"} {
		t.Run(name, func(t *testing.T) {
			r := tlsRig(t, echo, cert(t, "pacs.example"))
			r.engine = l7.New(l7.Config{Timeouts: l7.Timeouts{Header: 100 * time.Millisecond}})
			t.Cleanup(r.engine.Close)
			r.apply()
			c, err := tls.Dial("tcp", r.addr(), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, begin)
			c.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.Copy(io.Discard, c); err != nil {
				t.Errorf("the connection ended by %v", err)
			}
		})
	}
}

// frames is a client that speaks HTTP/2 frame by frame.
type frames struct {
	t      *testing.T
	conn   net.Conn
	framer *http2.Framer
	got    map[uint32]*answer
	goAway *http2.GoAwayFrame
}

// answer is what came on a stream.
type answer struct {
	status string
	fields map[string]string
	body   bytes.Buffer
	ended  bool
	code   *http2.ErrCode
}

func dialFrames(t *testing.T, addr string) *frames {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	c := &frames{t: t, conn: conn, framer: http2.NewFramer(conn, conn), got: map[uint32]*answer{}}
	c.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	io.WriteString(conn, http2.ClientPreface)
	c.framer.WriteSettings()
	return c
}

func (c *frames) request(id uint32, end bool, fields ...string) {
	var block bytes.Buffer
	e := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		e.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	rest := block.Bytes()
	part := rest[:min(len(rest), 16384)]
	rest = rest[len(part):]
	c.framer.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: part, EndStream: end, EndHeaders: len(rest) == 0})
	for len(rest) > 0 {
		part = rest[:min(len(rest), 16384)]
		rest = rest[len(part):]
		c.framer.WriteContinuation(id, len(rest) == 0, part)
	}
}

func (c *frames) data(id uint32, end bool, p string) { c.framer.WriteData(id, end, []byte(p)) }

// next takes a frame; false: there is none.
func (c *frames) next() bool {
	f, err := c.framer.ReadFrame()
	if err != nil {
		return false
	}
	a := c.got[f.Header().StreamID]
	if a == nil {
		a = &answer{fields: map[string]string{}}
		c.got[f.Header().StreamID] = a
	}
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		for _, h := range f.Fields {
			a.fields[h.Name] = h.Value
		}
		a.status, a.ended = a.fields[":status"], f.StreamEnded()
	case *http2.DataFrame:
		a.body.Write(f.Data())
		a.ended = f.StreamEnded()
	case *http2.RSTStreamFrame:
		a.code = &f.ErrCode
	case *http2.PingFrame:
		if !f.IsAck() {
			c.framer.WritePing(true, f.Data)
		}
	case *http2.GoAwayFrame:
		c.goAway = f
	}
	return true
}

// until takes frames until a stream has come so far.
func (c *frames) until(id uint32, far func(*answer) bool) *answer {
	c.t.Helper()
	for c.got[id] == nil || !far(c.got[id]) {
		if !c.next() {
			c.t.Fatalf("the connection ended; stream %d has %+v", id, c.got[id])
		}
	}
	return c.got[id]
}

func (c *frames) head(id uint32) *answer {
	c.t.Helper()
	return c.until(id, func(a *answer) bool { return a.status != "" || a.code != nil })
}

func (c *frames) answer(id uint32) *answer {
	c.t.Helper()
	return c.until(id, func(a *answer) bool { return a.ended || a.code != nil })
}

func (c *frames) reset(id uint32) http2.ErrCode {
	c.t.Helper()
	return *c.until(id, func(a *answer) bool { return a.code != nil }).code
}

// closed takes what still comes.
func (c *frames) closed() bool {
	for c.next() {
	}
	return true
}

// webSocket is a server of an opening handshake, which answers as told, and of a tunnel that repeats.
func webSocket(t *testing.T, c net.Conn, rd *bufio.Reader, how string) {
	req, err := http.ReadRequest(rd)
	if err != nil {
		t.Error(err)
		return
	}
	h := req.Header
	if req.Method != "GET" || req.URL.Path != "/ws" || h.Get("Upgrade") != "websocket" || h.Get("Connection") != "Upgrade" || h.Get("Sec-Websocket-Version") != "13" {
		t.Errorf("server saw %+v", req)
	}
	switch how {
	case "no":
		io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
		return
	case "426":
		io.WriteString(c, "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 0\r\nSec-WebSocket-Version: 12\r\n\r\n")
		return
	case "200":
		io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		return
	case "":
		how = acceptOf(h.Get("Sec-Websocket-Key"))
	}
	io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "+how+"\r\n\r\nfirst")
	io.Copy(c, rd)
	io.WriteString(c, "last")
}

// acceptOf is RFC 6455 section 4.2.2.
func acceptOf(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
