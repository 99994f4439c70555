package talk

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// TestServersSayWhoTheySee runs a server on the loopback.
func TestServersSayWhoTheySee(t *testing.T) {
	port := freePort(t)
	go func() { _ = Serve("a", []uint16{port}) }()
	for _, host := range []string{"127.0.0.1", "::1"} {
		to := net.JoinHostPort(host, fmt.Sprint(port))
		c := dial(t, "tcp", to)
		s, err := NewStream(c, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if who, err := s.Ask(); err != nil || who.Server != "a" || who.Client.String() != c.LocalAddr().String() {
			t.Errorf("%s: %v, %v", host, who, err)
		}
		if err := s.Put(100_001, 7); err != nil {
			t.Error(err)
		}
		if err := s.Get(100_001, 8); err != nil {
			t.Error(err)
		}
		u := dial(t, "udp", to)
		who, err := Exchange(u, []string{"one", strings.Repeat("x", 1000)}, time.Minute)
		if err != nil || who.Server != "a" || who.Client.String() != u.LocalAddr().String() {
			t.Errorf("%s: %v, %v", host, who, err)
		}
	}
}

func TestSumsTellWhatIsLost(t *testing.T) {
	if sumOf(1000, 1) == sumOf(1001, 1) || sumOf(1000, 1) == sumOf(1000, 2) {
		t.Error("different streams have one sum")
	}
	if differ(1, 2, "x") == nil {
		t.Error("different sums are taken for equal")
	}
}

func freePort(t *testing.T) uint16 {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return addrPort(l.Addr()).Port()
}

func dial(t *testing.T, network, to string) net.Conn {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		c, err := net.Dial(network, to)
		if err == nil {
			t.Cleanup(func() { _ = c.Close() })
			return c
		}
		if time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
