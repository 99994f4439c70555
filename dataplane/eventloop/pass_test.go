package eventloop

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

// doorman looks at the first byte of each connection, then passes it on with another address.
type doorman struct {
	t  testing.TB
	to Acceptor
}

type guest struct {
	Source
	d    *doorman
	l    *Loop
	from *Listener
}

var seen = netip.MustParseAddrPort("192.0.2.7:1234")

func (d *doorman) Accepted(l *Loop, from *Listener, fd int, _ netip.AddrPort) {
	g := &guest{d: d, l: l, from: from}
	must(d.t, l.Add(&g.Source, fd, g, Readable))
}

func (g *guest) Ready(e Events) {
	var b [1]byte
	switch n, _ := nonblock.Recv(g.FD(), b[:], unix.MSG_DONTWAIT); {
	case e&Closing != 0 || n == 0:
		g.l.Close(&g.Source)
		g.from.Done(g.l)
	default:
		g.l.Pass(&g.Source, g.from, seen, g.d.to)
	}
}

// TestPass: what has come by then is told to whom the connection is passed on, a mistake there costs that connection
// alone, and counts are back when all have ended.
func TestPass(t *testing.T) {
	g := group(t, Config{Loops: 2})
	k := &holder{t: t, panic: true}
	x, addr := listen(t, g, &doorman{t: t, to: k})
	first := dial(t, addr)
	_, err := first.Write([]byte("ab"))
	must(t, err)
	if n, err := first.Read(make([]byte, 1)); err == nil {
		t.Fatalf("%d bytes from a connection that met a mistake", n)
	}
	eventually(t, "it is counted no more", func() bool { return x.Open() == 0 })
	for i := range 20 {
		c := dial(t, addr)
		_, err := c.Write([]byte("ab"))
		must(t, err)
		eventually(t, "it is passed on", func() bool { return k.count() == i+1 })
	}
	k.mu.Lock()
	for _, h := range k.held {
		if h.peer != seen {
			t.Errorf("peer %v, want %v", h.peer, seen)
		}
		var b [2]byte
		if n, err := nonblock.Recv(h.FD(), b[:], 0); n != 1 || b[0] != 'b' {
			t.Errorf("%q is left, %v", b[:n], err)
		}
	}
	k.mu.Unlock()
	g.Close()
	if n := x.Open(); n != 0 {
		t.Errorf("%d are open after Close", n)
	}
}
