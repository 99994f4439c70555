package l7_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
)

const (
	hotRequest = "GET /dicom-web/studies HTTP/1.1\r\nHost: pacs.example.org\r\nUser-Agent: x\r\nAccept: */*\r\n" +
		"Accept-Encoding: gzip\r\nCookie: a=b\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n"
	hotAnswer = "HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: 128\r\n\r\n"
)

// hotServer answers without allocating.
func hotServer(tb testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	answer := append([]byte(hotAnswer), make([]byte, 128)...)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				for n := 0; ; {
					m, err := c.Read(buf[n:])
					if err != nil {
						return
					}
					if n += m; bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						n = 0
						c.Write(answer)
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

// hotClient returns a function that makes one request without allocating.
func hotClient(tb testing.TB, addr string) func() {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { c.Close() })
	r := bufio.NewReader(c)
	request := []byte(hotRequest)
	body := make([]byte, 128)
	return func() {
		if _, err := c.Write(request); err != nil {
			tb.Fatal(err)
		}
		for {
			line, err := r.ReadSlice('\n')
			if err != nil {
				tb.Fatal(err)
			}
			if len(line) == 2 {
				break
			}
		}
		if _, err := io.ReadFull(r, body); err != nil {
			tb.Fatal(err)
		}
	}
}

func hotEngine(tb testing.TB) string { return hotEngineWith(tb, l7.Config{}) }

func hotEngineWith(tb testing.TB, cfg l7.Config) string { return hotEngineFor(tb, cfg, "") }

func hotEngineFor(tb testing.TB, cfg l7.Config, told model.ProxyProtocol) string {
	e := l7.New(cfg)
	tb.Cleanup(e.Close)
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address := socket.Addr().(*net.TCPAddr).AddrPort()
	pool := poolOf("main", hotServer(tb), hotServer(tb))
	pool.ProxyProtocol = told
	if err := e.Apply(model.Proxy{
		Pools: []model.Pool{pool},
		Listeners: []model.Listener{{
			Name: "web", Address: address, Application: model.HTTP, Pool: "main", Algorithm: model.L7LeastConnection,
			Cookie: &model.Cookie{Name: "K"}, XForwardedFor: true,
			Routes: []model.Route{{Name: "r", PathPrefixes: []string{"/dicom-web"}, Pool: "main", SetRequestHeaders: []model.Header{{Name: "X-Site", Value: "1"}}}},
		}},
	}, map[string]net.Listener{"web": socket}); err != nil {
		tb.Fatal(err)
	}
	return address.String()
}

func TestKeepAliveRequestAllocatesNothing(t *testing.T) {
	ask := hotClient(t, hotEngine(t))
	for range 100 {
		ask()
	}
	if n := testing.AllocsPerRun(2000, ask); n >= allocationLimit {
		t.Errorf("%v allocations a request, want 0", n)
	}
}

func BenchmarkKeepAliveRequest(b *testing.B) {
	ask := hotClient(b, hotEngine(b))
	ask()
	b.ReportAllocs()
	for b.Loop() {
		ask()
	}
}

func BenchmarkDirectRequest(b *testing.B) {
	ask := hotClient(b, hotServer(b))
	ask()
	for b.Loop() {
		ask()
	}
}

// nowhere is a log that is written and not kept; io.Discard would be none.
type nowhere struct{}

func (nowhere) Write(p []byte) (int, error) { return len(p), nil }

func TestLoggedRequestAllocatesNothing(t *testing.T) {
	ask := hotClient(t, hotEngineWith(t, l7.Config{AccessLog: nowhere{}}))
	for range 100 {
		ask()
	}
	if n := testing.AllocsPerRun(2000, ask); n >= allocationLimit {
		t.Errorf("%v allocations a request, want 0", n)
	}
}

// Connections that wait for one client are found without a search that allocates.
func TestRequestToServersThatAreToldAllocatesNothing(t *testing.T) {
	ask := hotClient(t, hotEngineFor(t, l7.Config{}, model.ProxyProtocolV2))
	for range 100 {
		ask()
	}
	if n := testing.AllocsPerRun(2000, ask); n >= allocationLimit {
		t.Errorf("%v allocations a request, want 0", n)
	}
}
