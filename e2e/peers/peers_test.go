package peers_test

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

const (
	address = "192.0.2.100"
	// server is an address of the host's own: what goes to it passes the loopback interface.
	server = "198.51.100.1"
)

// newHost is a host with a server that says what it was told of the client, and one that repeats what comes by TCP.
func newHost(t *testing.T) peers.Host {
	t.Helper()
	far := netnstest.NewFar(t)
	far.Run(t, "sh", "-ec", "ip link add eth0 type veth peer name eth1; ip link set eth0 up; ip link set eth1 up;"+
		"ip address add 192.0.2.2/24 dev eth0; ip address add "+server+"/32 dev lo")
	in := peers.Far(far)
	listen := func(port string) net.Listener {
		var l net.Listener
		suite.Must(t, in(func() (err error) { l, err = net.Listen("tcp", server+port); return err }))
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s %s", r.Header.Get("X-Forwarded-For"), r.Header.Get("X-Forwarded-Proto"), r.Header.Get("X-Forwarded-Host"), r.Host)
	})}
	go web.Serve(listen(":8080"))
	t.Cleanup(func() { _ = web.Close() })
	echo := listen(":9000")
	go func() {
		for c, err := echo.Accept(); err == nil; c, err = echo.Accept() {
			go func() { io.Copy(c, c); c.Close() }()
		}
	}()
	return in
}

func front(t *testing.T) peers.Front {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	suite.Must(t, err)
	certificate, private := peers.NewCertificate(t, key)
	web, echo := []netip.AddrPort{netip.MustParseAddrPort(server + ":8080")}, []netip.AddrPort{netip.MustParseAddrPort(server + ":9000")}
	return peers.Front{Address: netip.MustParseAddr(address), Interface: "eth0", Splice: true, Listeners: []peers.Listener{
		{Name: "stream", Port: 9000, Protocol: peers.TCP, Servers: echo},
		{Name: "web", Port: 80, Protocol: peers.HTTP, Servers: web},
		{Name: "web-secure", Port: 443, Protocol: peers.HTTPS, Certificate: certificate, Key: private, Servers: web},
	}}
}

// Each program serves all protocols, tells the server the same of the client, ties clients to servers, writes its log, and is
// gone with all of its processes and files when the test is over.
func TestPrograms(t *testing.T) {
	for _, program := range []peers.Program{peers.TruePACS, peers.HAProxy, peers.NGINX, peers.NetHTTP} {
		t.Run(string(program), func(t *testing.T) {
			in, front := newHost(t), front(t)
			var left []int
			var dir string
			t.Run("serves", func(t *testing.T) {
				if program == peers.NetHTTP {
					front.Listeners = front.Listeners[1:]
				}
				p := peers.Start(t, in, program, front)
				dir = p.Dir
				for _, l := range front.Listeners {
					exchange(t, p, l)
				}
				if program != peers.NetHTTP { // it writes none
					logged(t, p)
				}
				left = used(t, p)
			})
			for _, pid := range left {
				if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
					t.Errorf("process %d is left", pid)
				}
			}
			if _, err := os.Stat(dir); err == nil {
				t.Errorf("%s is left", dir)
			}
		})
	}
}

// exchange uses a listener as a client does.
func exchange(t *testing.T, p *peers.Peer, l peers.Listener) {
	t.Helper()
	c, err := p.Dial(t.Context(), l.Name)
	suite.Must(t, err)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	scheme := "http"
	switch l.Protocol {
	case peers.TCP:
		said := make([]byte, 5)
		_, err := io.WriteString(c, "hello")
		suite.Must(t, err)
		if _, err = io.ReadFull(c, said); err != nil || string(said) != "hello" {
			t.Errorf("the server repeated %q, %v", said, err)
		}
		return
	case peers.HTTPS:
		secure := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}, CurvePreferences: []tls.CurveID{tls.X25519}})
		suite.Must(t, secure.Handshake())
		state := secure.ConnectionState()
		if state.Version != tls.VersionTLS13 || state.CipherSuite != tls.TLS_AES_128_GCM_SHA256 || state.CurveID != tls.X25519 {
			t.Errorf("TLS: %s, %s, %s", tls.VersionName(state.Version), tls.CipherSuiteName(state.CipherSuite), state.CurveID)
		}
		c, scheme = secure, "https"
	}
	_, err = io.WriteString(c, "GET / HTTP/1.1\r\nHost: pacs.example.org\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n")
	suite.Must(t, err)
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	suite.Must(t, err)
	body, err := io.ReadAll(response.Body)
	suite.Must(t, err)
	want := address + " " + scheme + " pacs.example.org pacs.example.org"
	if p.Program == peers.NetHTTP { // it asks its own address
		want = strings.TrimSpace(want)
	}
	if got := string(body); got != want {
		t.Errorf("the server was told %q, want %q", got, want)
	}
	if cookie := response.Header.Get("Set-Cookie"); strings.HasPrefix(cookie, "TPSERVER=") == (p.Program == peers.NetHTTP) {
		t.Errorf("Set-Cookie: %q", cookie)
	}
}

// logged waits for a line of the access log.
func logged(t *testing.T, p *peers.Peer) {
	t.Helper()
	text, err := []byte(nil), error(nil)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if text, err = os.ReadFile(p.Log); strings.Contains(string(text), " 200 ") || strings.Contains(string(text), `"status":200`) {
			return
		}
	}
	t.Errorf("no line in %s: %v\n%s", filepath.Base(p.Log), err, text)
}

// used asks what the program has used and returns its processes.
func used(t *testing.T, p *peers.Peer) []int {
	t.Helper()
	u, err := p.Usage()
	suite.Must(t, err)
	least := map[peers.Program]int{peers.TruePACS: 2, peers.NGINX: 3}
	if len(u.Processes) < max(1, least[p.Program]) || u.Resident < 1<<20 || u.Peak < u.Resident || u.Descriptors < len(p.Front.Listeners) {
		t.Errorf("used: %+v", u)
	}
	t.Logf("%d processes, %d KiB, %d descriptors, %s", len(u.Processes), u.Resident>>10, u.Descriptors, u.Processor())
	return u.Processes
}

// Processor time is that of all processes, also of those that have ended, and of no one else.
func TestUsageCountsChildren(t *testing.T) {
	const burn = `i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done`
	p := peers.Launch(t, nil, exec.Command("sh", "-c", "("+burn+"); ("+burn+")& wait; sleep 60"))
	idle := peers.Launch(t, nil, exec.Command("sleep", "60"))
	var u peers.Usage
	for end := time.Now().Add(time.Minute); u.Processor() < 50*time.Millisecond; time.Sleep(10 * time.Millisecond) {
		var err error
		u, err = p.Usage()
		suite.Must(t, err)
		if time.Now().After(end) {
			t.Fatalf("two loops took %s", u.Processor())
		}
	}
	for len(u.Processes) != 2 || u.Processor() < 50*time.Millisecond { // sh and sleep: the loops have ended
		time.Sleep(10 * time.Millisecond)
		var err error
		u, err = p.Usage()
		suite.Must(t, err)
	}
	other, err := idle.Usage()
	suite.Must(t, err)
	if other.Processor() > 40*time.Millisecond {
		t.Errorf("a program that sleeps took %s", other.Processor())
	}
}
