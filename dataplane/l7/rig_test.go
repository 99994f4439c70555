package l7_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen; no test passes by waiting.
const patience = 30 * time.Second

// rig is an engine with sockets of its own on loopback.
type rig struct {
	t       *testing.T
	engine  *l7.Engine
	proxy   model.Proxy
	sockets map[string]net.Listener
	log     printed.Text
}

// newRig starts an engine whose single HTTP listener "web" has the servers in pool "main".
func newRig(t *testing.T, cfg l7.Config, servers ...string) *rig {
	t.Helper()
	r := &rig{t: t, sockets: map[string]net.Listener{}}
	cfg.AccessLog = &r.log
	r.engine = l7.New(cfg)
	t.Cleanup(r.engine.Close)
	r.proxy.Pools = []model.Pool{poolOf("main", servers...)}
	r.listen("web", model.HTTP)
	return r
}

func poolOf(name string, servers ...string) model.Pool {
	p := model.Pool{Name: name}
	for i, addr := range servers {
		p.Servers = append(p.Servers, model.PoolServer{
			Name: fmt.Sprintf("s%d", i+1), Address: netip.MustParseAddrPort(addr), Weight: 1,
		})
	}
	return p
}

// listen adds a listener on a free port.
func (r *rig) listen(name string, application model.Application) *model.Listener {
	r.t.Helper()
	socket, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		r.t.Fatal(err)
	}
	r.sockets[name] = socket
	r.t.Cleanup(func() { socket.Close() })
	r.proxy.Listeners = append(r.proxy.Listeners, model.Listener{
		Name: name, Service: "ns/b/" + name, Address: socket.Addr().(*net.TCPAddr).AddrPort(),
		Application: application, Pool: "main", Algorithm: model.L7RoundRobin,
	})
	return &r.proxy.Listeners[len(r.proxy.Listeners)-1]
}

func (r *rig) web() *model.Listener { return &r.proxy.Listeners[0] }

func (r *rig) apply() *rig {
	r.t.Helper()
	if err := r.engine.Apply(r.proxy, r.sockets); err != nil {
		r.t.Fatal(err)
	}
	return r
}

func (r *rig) addr() string { return r.web().Address.String() }
func (r *rig) url() string  { return "http://" + r.addr() }

// client returns a client with connections of its own.
func (r *rig) client() *http.Client {
	tr := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 100}
	r.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get returns status and body.
func get(t *testing.T, c *http.Client, url string) (int, string) {
	t.Helper()
	res, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// serve starts a net/http server; it is the independent witness behind the engine.
func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// named answers with a name.
func named(t *testing.T, name string) string {
	return serve(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, name) })
}

// scripted starts a server that handles raw connections.
func scripted(t *testing.T, handle func(c net.Conn, r *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				stop := context.AfterFunc(ctx, func() { c.Close() })
				defer stop()
				handle(c, bufio.NewReader(c))
			})
		}
	})
	t.Cleanup(func() { l.Close(); cancel(); all.Wait() })
	return l.Addr().String()
}

// raw is a client connection under the test's own control.
type raw struct {
	t *testing.T
	net.Conn
	*bufio.Reader
}

func dialRaw(t *testing.T, addr string) *raw {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	return &raw{t, c, bufio.NewReader(c)}
}

func (c *raw) Read(p []byte) (int, error) { return c.Reader.Read(p) }

func (c *raw) send(s string) *raw {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, s); err != nil {
		c.t.Fatal(err)
	}
	return c
}

// response reads a response with the standard library.
func (c *raw) response(method string) (*http.Response, string) {
	c.t.Helper()
	res, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	b, err := io.ReadAll(res.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return res, string(b)
}

// head reads a head as it is on the wire.
func head(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		b.WriteString(line)
		if line == "\r\n" {
			return b.String()
		}
		if err != nil {
			return b.String()
		}
	}
}

// ended checks that the peer closes without sending more.
func (c *raw) ended() {
	c.t.Helper()
	if b, err := io.ReadAll(c.Reader); err != nil || len(b) > 0 {
		c.t.Fatalf("connection did not end: %q, %v", b, err)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			fmt.Fprintln(os.Stderr, "waited in vain:", what)
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
