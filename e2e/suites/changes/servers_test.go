package changes

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// servers are the servers behind the front, who tell their names.
type servers struct {
	// web and stream are ports, by name.
	web, stream map[string]uint16

	mu         sync.Mutex
	complaints []string
}

// startServers starts servers a, b and c of HTTP and a and b of streams.
func startServers(t *testing.T, in peers.Host) *servers {
	t.Helper()
	s := &servers{web: map[string]uint16{}, stream: map[string]uint16{}}
	for _, name := range []string{"a", "b", "c"} {
		l := listen(t, in)
		s.web[name] = portOf(l)
		web := &http.Server{Handler: s.handler(name)}
		go web.Serve(l)
		t.Cleanup(func() { _ = web.Close() })
	}
	for _, name := range []string{"a", "b"} {
		l := listen(t, in)
		s.stream[name] = portOf(l)
		go s.serveStreams(l, name)
	}
	return s
}

func listen(t *testing.T, in peers.Host) (l net.Listener) {
	t.Helper()
	suite.Must(t, in(func() (err error) { l, err = net.Listen("tcp", server+":0"); return err }))
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func portOf(l net.Listener) uint16 { return l.Addr().(*net.TCPAddr).AddrPort().Port() }

// handler answers requests, and gives WebSockets at paths that end with /socket.
func (s *servers) handler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/socket") {
			s.serveSocket(w, r, name)
			return
		}
		w.Header().Set("X-Server", name)
		w.Header().Set("X-Mark", r.Header.Get("X-Mark"))
		_, _ = io.WriteString(w, "studies of server "+name+"\n")
	})
}

func (s *servers) serveSocket(w http.ResponseWriter, r *http.Request, name string) {
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.complain(name, err)
		return
	}
	defer c.Close()
	_, err = fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		acceptKey(r.Header.Get("Sec-WebSocket-Key")))
	if err == nil {
		err = answerAll(&socket{Conn: c, r: buffered.Reader})
	}
	s.complain(name, err)
}

// serveStreams says the server's name first on each connection.
func (s *servers) serveStreams(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			if _, err := io.WriteString(c, name+"\n"); err == nil { // a check closes at once
				s.complain("streams "+name, answerAll(&stream{c, bufio.NewReader(c)}))
			}
		}()
	}
}

// complain keeps what a server found wrong.
func (s *servers) complain(name string, err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.complaints = append(s.complaints, fmt.Sprintf("server %s: %v", name, err))
}
