package relay_test

import (
	"crypto/sha256"
	"io"
	"net"
	"testing"

	"github.com/truepacs/balancer/dataplane/relay"
)

// TestPreface: the server gets the preface first, once, whoever speaks first, and bulk data behind it is what was
// sent; it is not counted as the client's. A server that was tried before and refused got none.
func TestPreface(t *testing.T) {
	got := make(chan [32]byte, 1)
	server := serve(t, func(c *net.TCPConn) {
		first := make([]byte, len("client 127.0.0.1\n"))
		if _, err := io.ReadFull(c, first); err != nil || string(first) != "client 127.0.0.1\n" {
			t.Errorf("the server got %q first, %v", first, err)
		}
		_, _ = io.WriteString(c, "banner")
		h := sha256.New()
		_, _ = io.Copy(h, c)
		got <- [32]byte(h.Sum(nil))
	})
	p := start(t, defaults(), refusing(t), server)
	say := func(pair *relay.Pair) []byte {
		client, at := pair.Client()
		if at.String() != p.addr {
			t.Errorf("the client connected to %v, want %s", at, p.addr)
		}
		return []byte("client " + client.Addr().String() + "\n")
	}
	p.preface.Store(&say)
	c := p.dial()
	banner := make([]byte, len("banner"))
	if _, err := io.ReadFull(c, banner); err != nil {
		t.Fatal(err)
	}
	const size = 3 << 20
	sent, _ := converse(t, c, 1, size)
	if wait(t, got) != sent {
		t.Error("the server got other bytes than the client sent")
	}
	if end := p.end(relay.Normal); end.ToServer != size {
		t.Errorf("%d bytes are counted, the client sent %d", end.ToServer, size)
	}
}
