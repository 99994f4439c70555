package lab_test

import (
	"strings"
	"testing"

	"github.com/truepacs/balancer/e2e/lab"
)

// TestCable pulls the cables of a machine and of a namespace, and the one of a
// machine without power.
func TestCable(t *testing.T) {
	l := newLab(t)
	lan := network(t, l, lab.MTU(9000))
	m := machine(t, l, "lb1", lab.MachineSpec{NICs: []lab.NIC{{Network: lan, Addresses: lab.Prefixes("192.0.2.2/24")}}})
	a := namespace(t, l, "a", lab.NIC{Network: lan, Addresses: lab.Prefixes("192.0.2.3/24")})
	b := namespace(t, l, "b", lab.NIC{Network: lan, Addresses: lab.Prefixes("192.0.2.4/24")})
	reaches := func(want bool, address string) {
		t.Helper()
		result, err := b.Run(t.Context(), "ping", "-c", "1", "-W", "2", "-M", "do", "-s", "8000", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := result.ExitCode == 0; got != want {
			t.Errorf("reaches %s: %v, want %v: %s", address, got, want, result.Stdout)
		}
	}
	cable := func(h lab.Host, up bool, carrier string) {
		t.Helper()
		if err := h.Cable(t.Context(), "eth0", up); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(run(t, h, "cat", "/sys/class/net/eth0/carrier")); got != carrier {
			t.Errorf("%s: cable in: %v: its carrier is %s", h.Name(), up, got)
		}
	}
	for _, h := range []lab.Host{m, a} {
		address := map[string]string{"lb1": "192.0.2.2", "a": "192.0.2.3"}[h.Name()]
		reaches(true, address)
		cable(h, false, "0")
		reaches(false, address)
		cable(h, true, "1")
		reaches(true, address)
	}
	if err := m.Cable(t.Context(), "eth9", false); err == nil {
		t.Error("an interface that is not there was unplugged")
	}
	cable(m, false, "0")
	if err := m.Reset(t.Context()); err != nil {
		t.Fatal(err)
	}
	reaches(false, "192.0.2.2")
	cable(m, true, "1")
	reaches(true, "192.0.2.2")
}

// TestRouter sends through a router to another network, in both families.
func TestRouter(t *testing.T) {
	l := newLab(t)
	near := network(t, l)
	far, err := l.Network("far")
	if err != nil {
		t.Fatal(err)
	}
	gateway := lab.Prefixes("192.0.2.1/24", "2001:db8:1::1/64", "198.51.100.1/24", "2001:db8:2::1/64")
	if _, err := l.Router("router", lab.NIC{Network: near, Addresses: gateway[:2]}, lab.NIC{Network: far, Addresses: gateway[2:]}); err != nil {
		t.Fatal(err)
	}
	a := namespace(t, l, "a", lab.NIC{
		Network: near, Addresses: lab.Prefixes("192.0.2.10/24", "2001:db8:1::10/64"),
		Gateway: gateway[0].Addr(), Gateway6: gateway[1].Addr(),
	})
	namespace(t, l, "b", lab.NIC{
		Network: far, Addresses: lab.Prefixes("198.51.100.10/24", "2001:db8:2::10/64"),
		Gateway: gateway[2].Addr(), Gateway6: gateway[3].Addr(),
	})
	run(t, a, "ping", "-c", "1", "-W", "5", "198.51.100.10")
	run(t, a, "ping", "-c", "1", "-W", "5", "2001:db8:2::10")
}
