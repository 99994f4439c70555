package netif_test

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// TestIPSeesIPv6 has iproute2 as the witness of what is in the kernel.
func TestIPSeesIPv6(t *testing.T) {
	h := realHost(t)
	mustSet(t, h, vip("2001:db8::100", "tp0"))
	got := netnstest.Run(t, "ip", "-6", "-o", "address", "show", "dev", "tp0", "scope", "global")
	for _, want := range []string{"2001:db8::100/128", "metric 1414559344", "nodad", "deprecated", "noprefixroute", "preferred_lft 0sec", "valid_lft forever"} {
		if !strings.Contains(got, want) {
			t.Errorf("ip shows %q, want %q in it", got, want)
		}
	}
	if strings.Contains(got, "tentative") {
		t.Errorf("ip shows %q: the address has to work at once", got)
	}
	if routes := netnstest.Run(t, "ip", "-6", "route", "show"); strings.Contains(routes, "2001:db8::100") {
		t.Errorf("the address added a route:\n%s", routes)
	}
}

// TestOneMarkOfIPv6IsEnough has an address as a kernel before 5.18 keeps it.
func TestOneMarkOfIPv6IsEnough(t *testing.T) {
	h := realHost(t)
	netnstest.Run(t, "ip", "address", "add", "2001:db8::100/128", "dev", "tp0", "nodad", "metric", "1414559344")
	netnstest.Run(t, "ip", "address", "add", "2001:db8::101/128", "dev", "tp0", "nodad", "metric", "1024")
	mustSet(t, h)
	wantAddresses(t, h, "tp0", "2001:db8::101/128")
}

// TestTheHostDoesNotSpeakAsTheVIP: all else equal Linux takes the address that was added last or
// matches the destination longest, so the virtual one would be taken in both cases.
func TestTheHostDoesNotSpeakAsTheVIP(t *testing.T) {
	h := realHost(t)
	netnstest.Run(t, "ip", "address", "add", "2001:db8::2/64", "dev", "tp0", "nodad")
	netnstest.Run(t, "ip", "address", "add", "2001:db8::100/128", "dev", "tp0", "nodad")
	if got := sourceTo(t, "2001:db8::101"); got != "2001:db8::100" {
		t.Fatalf("a preferred virtual IP is not chosen, but %s: the test proves nothing", got)
	}
	netnstest.Run(t, "ip", "address", "del", "2001:db8::100/128", "dev", "tp0")
	mustSet(t, h, vip("2001:db8::100", "tp0"))
	if got := sourceTo(t, "2001:db8::101"); got != "2001:db8::2" {
		t.Errorf("the host speaks as %s, want its own 2001:db8::2", got)
	}
}

// sourceTo returns the address that the kernel chooses for a connection; nothing is sent.
func sourceTo(t *testing.T, destination string) string {
	t.Helper()
	conn, err := net.Dial("udp6", net.JoinHostPort(destination, "104"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().(*net.UDPAddr).IP.String()
}

// TestTheVIPAnswers connects from another host to a listener on the deprecated address.
func TestTheVIPAnswers(t *testing.T) {
	h := realHost(t)
	client := netnstest.NewFar(t)
	client.Cable(t, "tp2", "eth0")
	netnstest.Run(t, "ip", "address", "add", "2001:db8::2/64", "dev", "tp2", "nodad")
	client.Run(t, "ip", "address", "add", "2001:db8::50/64", "dev", "eth0", "nodad")
	mustSet(t, h, vip("2001:db8::100", "tp2"))
	listener, err := net.Listen("tcp6", "[2001:db8::100]:11112")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		if server, err := listener.Accept(); err == nil {
			_, _ = io.WriteString(server, server.RemoteAddr().(*net.TCPAddr).IP.String())
			_ = server.Close()
		}
	}()
	var got []byte
	client.Do(func() { got, err = ask("[2001:db8::100]:11112") })
	if err != nil || string(got) != "2001:db8::50" {
		t.Errorf("read %q, %v", got, err)
	}
}

func ask(address string) ([]byte, error) {
	conn, err := net.DialTimeout("tcp6", address, 20*time.Second)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return io.ReadAll(conn)
}

func TestSwitchedOffIPv6IsNamed(t *testing.T) {
	tests := map[string]struct{ off, want string }{
		"MTU":    {"ip link set eth0 mtu 1200", "MTU of 1280"},
		"sysctl": {"echo 1 > /proc/sys/net/ipv6/conf/eth0/disable_ipv6", "net.ipv6.conf.eth0.disable_ipv6"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			netnstest.Enter(t)
			host := netnstest.NewFar(t)
			host.Cable(t, "tp0", "eth0")
			host.Run(t, "sh", "-c", tc.off)
			var err error
			host.Do(func() {
				err = netif.New(netif.Rtnetlink{}).Set(t.Context(), []model.VirtualIP{vip("2001:db8::100", "eth0")})
			})
			if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "NET_ADMIN") {
				t.Errorf("got %v, want %q in it", err, tc.want)
			}
		})
	}
}
