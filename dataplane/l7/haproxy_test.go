package l7_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/truepacs/balancer/dataplane/l7"
)

// HAProxy in front says who the client is, in both versions of the header.
func TestGreetingsOfHAProxy(t *testing.T) {
	r := newRig(t, l7.Config{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Header.Get("X-Forwarded-For"))
	}))
	r.web().XForwardedFor = true
	r.web().AcceptProxyProtocolFrom = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	r.apply()
	for i, option := range []string{"send-proxy", "send-proxy-v2", "send-proxy-v2-ssl-cn", "send-proxy-v2 proxy-v2-options crc32c,unique-id"} {
		t.Run(option, func(t *testing.T) {
			client := fmt.Sprintf("127.0.1.%d", i+1)
			tr := &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}).DialContext}
			t.Cleanup(tr.CloseIdleConnections)
			front := haproxy(t, r.addr()+" source 127.0.0.1 "+option)
			for range 2 {
				if status, body := get(t, &http.Client{Transport: tr}, "http://"+front); status != 200 || body != client {
					t.Errorf("status %d, the server was told %q, want %s", status, body, client)
				}
			}
		})
	}
}

// haproxy runs HAProxy in front of a server, given with its options, and returns its address.
func haproxy(t *testing.T, server string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	text := "defaults\n mode tcp\n timeout connect 30s\n timeout client 30s\n timeout server 30s\nlisten front\n bind fd@3\n unique-id-format %rt\n server s " + server + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("haproxy", "-db", "-f", file)
	cmd.ExtraFiles = []*os.File{socket}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return l.Addr().String()
}
