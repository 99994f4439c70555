package l7_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/l7"
	"github.com/truepacs/balancer/dataplane/model"
)

func TestRefusedConfigurations(t *testing.T) {
	str := func(s string) *string { return &s }
	route := func(change func(*model.Route)) func(*rig) {
		return func(r *rig) {
			rt := model.Route{Name: "r1", PathPrefixes: []string{"/x"}, Pool: "main"}
			change(&rt)
			r.web().Routes = []model.Route{rt}
		}
	}
	for name, tc := range map[string]struct {
		change func(*rig)
		says   []string // key, cause, advice
	}{
		"pool missing":      {func(r *rig) { r.web().Pool = "nope" }, []string{"web", `"nope" does not exist`, "use one of main"}},
		"application":       {func(r *rig) { r.web().Application = "DICOM" }, []string{"web", "DICOM", "use HTTP or TCP"}},
		"algorithm":         {func(r *rig) { r.web().Algorithm = "" }, []string{"web", "algorithm", "RoundRobin or LeastConnection"}},
		"same name":         {func(r *rig) { r.proxy.Listeners = append(r.proxy.Listeners, *r.web()) }, []string{"web", "unique", "rename"}},
		"same address":      {func(r *rig) { l := *r.web(); l.Name = "w2"; r.proxy.Listeners = append(r.proxy.Listeners, l) }, []string{"w2", "used by listener web", "another port"}},
		"no socket":         {func(r *rig) { delete(r.sockets, "web") }, []string{"web", "no listening socket", "pass one"}},
		"cookie on TCP":     {func(r *rig) { r.web().Application = model.TCPStream; r.web().Cookie = &model.Cookie{Name: "K"} }, []string{"web", "cookie", "remove"}},
		"routes on TCP":     {func(r *rig) { route(func(*model.Route) {})(r); r.web().Application = model.TCPStream }, []string{"web", "routes", "remove"}},
		"forwarded on TCP":  {func(r *rig) { r.web().Application = model.TCPStream; r.web().XForwardedFor = true }, []string{"web", "X-Forwarded-For", "switch it off"}},
		"cookie name":       {func(r *rig) { r.web().Cookie = &model.Cookie{Name: "a b"} }, []string{"web", `"a b"`, "letters"}},
		"cookie name empty": {func(r *rig) { r.web().Cookie = &model.Cookie{} }, []string{"web", "cookie name", "letters"}},
		"no certificate":    {func(r *rig) { r.web().TLS = &model.TLS{} }, []string{"web", "certificate", "name one"}},
		"bad certificate": {func(r *rig) {
			r.web().TLS = &model.TLS{Certificates: []model.Certificate{{Name: "c1", KeyPEM: []byte("SECRET")}}}
		}, []string{"web", `"c1"`, "PEM"}},
		"TLS version": {func(r *rig) {
			r.web().TLS = &model.TLS{Certificates: []model.Certificate{cert(t, "a")}, MinVersion: 0x301}
		}, []string{"web", "0x0301", "TLS 1.2"}},
		"two pools":         {func(r *rig) { r.proxy.Pools = append(r.proxy.Pools, poolOf("main")) }, []string{"main", "two pools", "rename"}},
		"server name":       {func(r *rig) { r.proxy.Pools[0].Servers[0].Name = "" }, []string{"main", "unique", "rename"}},
		"server address":    {func(r *rig) { r.proxy.Pools[0].Servers[0].Address = model.PoolServer{}.Address }, []string{"main", "s1", "address"}},
		"weight":            {func(r *rig) { r.proxy.Pools[0].Servers[0].Weight = -1 }, []string{"main", "s1", "use 0"}},
		"route's pool":      {route(func(r *model.Route) { r.Pool = "nope" }), []string{"web", "r1", "use one of main"}},
		"no prefix":         {route(func(r *model.Route) { r.PathPrefixes = nil }), []string{"web", "r1", "write /"}},
		"relative prefix":   {route(func(r *model.Route) { r.PathPrefixes = []string{"x"} }), []string{"web", "r1", "write /x"}},
		"prefix with query": {route(func(r *model.Route) { r.PathPrefixes = []string{"/x?y"} }), []string{"r1", "query", "path only"}},
		"prefix with dots":  {route(func(r *model.Route) { r.PathPrefixes = []string{"/x/../y"} }), []string{"r1", "..", "without"}},
		"prefix with space": {route(func(r *model.Route) { r.PathPrefixes = []string{"/x y"} }), []string{"r1", "character", "percent-encode"}},
		"bad encoding":      {route(func(r *model.Route) { r.PathPrefixes = []string{"/%zz"} }), []string{"r1", "/%zz", "percent-encode"}},
		"bad rewrite":       {route(func(r *model.Route) { r.RewritePrefix = str("y\r\nX: 1") }), []string{"r1", "rewritten prefix", "start with /"}},
		"injection":         {route(func(r *model.Route) { r.SetRequestHeaders = []model.Header{{Name: "X", Value: "1\r\nY: 2"}} }), []string{"r1", "control", "remove"}},
		"framing header":    {route(func(r *model.Route) { r.SetRequestHeaders = []model.Header{{Name: "content-length", Value: "1"}} }), []string{"r1", "content-length", "remove"}},
		"host removed":      {route(func(r *model.Route) { r.RemoveRequestHeaders = []string{"Host"} }), []string{"r1", "Host", "set it"}},
		"header name":       {route(func(r *model.Route) { r.RemoveRequestHeaders = []string{"a b"} }), []string{"r1", "a b", "letters"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, l7.Config{}, named(t, "up"))
			first := *r.web()
			r.apply()
			socket := r.sockets["web"]
			if name == "no socket" { // of a listener that does not run yet
				r.listen("web2", model.HTTP)
				delete(r.sockets, "web2")
				tc.says[0] = "web2"
			} else {
				tc.change(r)
			}
			err := r.engine.Apply(r.proxy, r.sockets)
			if err == nil {
				t.Fatal("accepted")
			}
			items, rest := model.ItemErrors(errors.Unwrap(err))
			if rest != nil || items[tc.says[0]] == nil && len(tc.says[0]) > 2 && items["web"] == nil {
				t.Errorf("errors of items %v, rest %v", items, rest)
			}
			for _, s := range tc.says {
				if !strings.Contains(err.Error(), s) {
					t.Errorf("error does not say %q: %v", s, err)
				}
			}
			if strings.Contains(err.Error(), "SECRET") {
				t.Errorf("error holds the private key: %v", err)
			}
			r.proxy.Listeners = []model.Listener{first}
			if status, body := get(t, r.client(), r.url()); status != 200 || body != "up" {
				t.Errorf("after the refusal: %d %q", status, body)
			}
			_ = socket
		})
	}
}

func TestAddressOfAListenerCannotChange(t *testing.T) {
	r := newRig(t, l7.Config{}, named(t, "up")).apply()
	other := r.listen("other", model.HTTP)
	r.web().Address = other.Address
	r.proxy.Listeners = r.proxy.Listeners[:1]
	if err := r.engine.Apply(r.proxy, r.sockets); err == nil || !strings.Contains(err.Error(), "another name") {
		t.Errorf("error %v", err)
	}
}

// A hundred configurations under load: no request fails.
func TestApplyUnderLoad(t *testing.T) {
	var served [3]atomic.Int64
	var servers []string
	for i := range 3 {
		servers = append(servers, serve(t, func(w http.ResponseWriter, r *http.Request) {
			served[i].Add(1)
			echo(w, r)
		}))
	}
	r := newRig(t, l7.Config{}, servers...)
	r.web().Cookie = &model.Cookie{Name: "K"}
	r.apply()
	url := r.url()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all sync.WaitGroup
	var requests atomic.Int64
	for i := range 8 {
		c := r.client()
		all.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := roundTrip(c, url, i, n); err != nil {
					t.Errorf("client %d, request %d: %v", i, n, err)
					return
				}
				requests.Add(1)
			}
		})
	}
	str := "/rewritten"
	for i := range 100 {
		r.proxy.Generation++
		r.proxy.Pools[0].Servers = poolOf("main", servers[:1+i%3]...).Servers
		r.proxy.Pools[0].Servers[0].Weight = 1 + i%5
		r.web().Algorithm = []model.Algorithm{model.L7RoundRobin, model.L7LeastConnection}[i%2]
		r.web().Routes = nil
		if i%4 == 0 {
			r.web().Routes = []model.Route{{Name: "r", PathPrefixes: []string{"/0", "/1"}, Pool: "main", RewritePrefix: &str}}
		}
		r.engine.SetHealth("main", "s1", true)
		r.apply()
		r.engine.SetHealth("main", "s1", i%3 == 0)
		before := requests.Load()
		eventually(t, "requests go on", func() bool { return requests.Load() > before+20 || t.Failed() })
	}
	cancel()
	all.Wait()
	st := r.engine.Stats()
	if st.Listeners[0].Errors != 0 || st.Listeners[0].Total > 16 {
		t.Errorf("listener counts %+v", st.Listeners[0])
	}
	for i := range served {
		if served[i].Load() == 0 {
			t.Errorf("server %d got nothing", i)
		}
	}
	t.Logf("%d requests over 100 configurations", requests.Load())
}

func roundTrip(c *http.Client, url string, i, n int) error {
	body := strings.Repeat(fmt.Sprintf("%d-%d ", i, n), 1+n%2000)
	var in io.Reader = strings.NewReader(body)
	if n%2 == 0 {
		in = io.MultiReader(in)
	}
	req, err := http.NewRequest("POST", fmt.Sprintf("%s/%d/x", url, i), in)
	if err != nil {
		return err
	}
	res, err := c.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != 200 || string(got) != body {
		return fmt.Errorf("status %d, %d bytes of %d", res.StatusCode, len(got), len(body))
	}
	return nil
}

// The connections to a removed server go on; the unused ones are closed.
func TestRemovedServerKeepsItsConnections(t *testing.T) {
	begin, end := make(chan struct{}), make(chan struct{})
	slow := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/slow" {
			return
		}
		io.WriteString(w, "first ")
		w.(http.Flusher).Flush()
		close(begin)
		<-end
		io.WriteString(w, "last")
	})
	r := newRig(t, l7.Config{}, slow)
	tcp := r.listen("tcp", model.TCPStream)
	tcpAddr := tcp.Address.String()
	r.apply()
	stream := dialRaw(t, tcpAddr)
	stream.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET")
	get(t, r.client(), r.url())
	c := dialRaw(t, r.addr()).send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begin
	r.proxy.Pools[0] = model.Pool{Name: "main", Servers: []model.PoolServer{poolOf("", named(t, "new")).Servers[0]}}
	r.proxy.Pools[0].Servers[0].Name = "n1"
	r.apply()
	if _, body := get(t, r.client(), r.url()); body != "new" {
		t.Errorf("new request came to %q", body)
	}
	close(end)
	if _, body := c.response("GET"); body != "first last" {
		t.Errorf("request in progress: %q", body)
	}
	if _, body := c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET"); body != "new" {
		t.Errorf("next request on the same connection: %q", body)
	}
	if res, _ := stream.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET"); res.StatusCode != 200 {
		t.Errorf("TCP connection in progress: %v", res)
	}
	if n := r.engine.Stats().Servers; len(n) != 1 || n[0].Server != "n1" {
		t.Errorf("servers %+v", n)
	}
}

func TestRemovedListenerDrains(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, echo))
	second := r.listen("second", model.HTTP)
	addr := second.Address.String()
	r.apply()
	c := dialRaw(t, addr)
	c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET")
	r.proxy.Listeners = r.proxy.Listeners[:1]
	r.apply()
	if r.engine.Running("second") || !r.engine.Running("web") {
		t.Error("Running does not follow the configuration")
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("the socket of the removed listener still accepts")
	}
	if res, _ := c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET"); res.StatusCode != 200 || !res.Close {
		t.Errorf("open connection: %d, close %v", res.StatusCode, res.Close)
	}
	c.ended()
}

// The socket of a running listener is not taken again and stays the caller's.
func TestSocketsNotNeededStayTheCallers(t *testing.T) {
	r := newRig(t, l7.Config{}, named(t, "up")).apply()
	spare, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.sockets = map[string]net.Listener{"web": spare, "unknown": spare}
	r.apply()
	if err := spare.Close(); err != nil {
		t.Errorf("the engine took a socket it does not need: %v", err)
	}
	get(t, r.client(), r.url())
}

func TestSetHealth(t *testing.T) {
	r := newRig(t, l7.Config{}, named(t, "a"), named(t, "b"))
	r.engine.SetHealth("main", "s1", false) // before the server is known
	r.apply()
	c := r.client()
	only := func(want string) {
		t.Helper()
		for range 6 {
			if _, body := get(t, c, r.url()); body != want {
				t.Fatalf("came to %s, want %s", body, want)
			}
		}
	}
	only("b")
	r.proxy.Pools[0].Servers[1].Weight = 7
	r.apply()
	only("b")
	r.engine.SetHealth("main", "s2", false)
	if status, _ := get(t, c, r.url()); status != 503 {
		t.Errorf("status %d, want 503", status)
	}
	r.engine.SetHealth("main", "s1", true)
	only("a")
	// Another address is another server: its verdict is unknown.
	r.proxy.Pools[0].Servers[1].Address = poolOf("", named(t, "new")).Servers[0].Address
	r.proxy.Pools[0].Servers[0].Weight = 0
	r.apply()
	only("new")
	// A server that was removed comes back without its verdict.
	r.engine.SetHealth("main", "s2", false)
	servers := r.proxy.Pools[0].Servers
	r.proxy.Pools[0].Servers = servers[:1]
	r.apply()
	r.proxy.Pools[0].Servers = servers
	r.apply()
	only("new")
}

func TestPortZeroMeansTheClientsPort(t *testing.T) {
	up := named(t, "up")
	r := newRig(t, l7.Config{}, up)
	_, port, _ := net.SplitHostPort(up)
	// The VIP's port is that of the server, on another loopback address.
	socket, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		t.Fatal(err)
	}
	r.sockets["web"].Close()
	r.sockets["web"] = socket
	r.web().Address = socket.Addr().(*net.TCPAddr).AddrPort()
	s := &r.proxy.Pools[0].Servers[0]
	s.Address = addrPort(s.Address.Addr(), 0)
	r.apply()
	if _, body := get(t, r.client(), r.url()); body != "up" {
		t.Errorf("came to %q", body)
	}
}

func TestDrain(t *testing.T) {
	begin, end := make(chan struct{}), make(chan struct{})
	r := newRig(t, l7.Config{Timeouts: l7.Timeouts{DrainIdle: 300 * time.Millisecond}}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(begin)
			<-end
		}
		io.WriteString(w, "done")
	})).apply()
	idle, asks := dialRaw(t, r.addr()), dialRaw(t, r.addr())
	for _, c := range []*raw{idle, asks} {
		c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET")
	}
	busy := dialRaw(t, r.addr()).send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	<-begin
	drained := make(chan error, 1)
	go func() { drained <- r.engine.Drain(context.Background()) }()
	eventually(t, "the socket is closed", func() bool {
		c, err := net.Dial("tcp", r.addr())
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if res, body := asks.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").response("GET"); body != "done" || !res.Close {
		t.Errorf("idle connection that asks: %q, close %v", body, res.Close)
	}
	asks.ended()
	idle.ended()
	select {
	case err := <-drained:
		t.Fatalf("drained with a request in progress: %v", err)
	default:
	}
	close(end)
	if res, body := busy.response("GET"); body != "done" || !res.Close {
		t.Errorf("request in progress: %q, close %v", body, res.Close)
	}
	if err := <-drained; err != nil {
		t.Error(err)
	}
	if err := r.engine.Apply(r.proxy, nil); !errors.Is(err, l7.ErrDraining) {
		t.Errorf("configuration while draining: %v", err)
	}
}

func TestDrainThatTakesTooLong(t *testing.T) {
	end := make(chan struct{})
	r := newRig(t, l7.Config{}, serve(t, func(http.ResponseWriter, *http.Request) { <-end })).apply()
	defer close(end)
	c := dialRaw(t, r.addr()).send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	eventually(t, "the request is on its way", func() bool { return r.engine.Stats().Servers[0].Current == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if err := r.engine.Drain(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "1 client connections") {
		t.Errorf("error %v", err)
	}
	r.engine.Close()
	if b, _ := io.ReadAll(c); strings.HasPrefix(string(b), "HTTP/1.1 200") {
		t.Errorf("cut request was answered %q", b)
	}
}
