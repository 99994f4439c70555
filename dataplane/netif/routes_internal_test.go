package netif

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
)

func TestEachWayIsAskedForOnce(t *testing.T) {
	asked, named := map[netip.Addr]int{}, 0
	lost := netip.MustParseAddr("203.0.113.1")
	route := memoised(
		func() (map[int]string, error) { named++; return map[int]string{7: "eth1"}, nil },
		func(to netip.Addr) ([]netlink.Route, error) {
			asked[to]++
			if to == lost {
				return nil, errors.New("no way")
			}
			return []netlink.Route{{LinkIndex: 7}}, nil
		})
	for range 3 {
		for _, address := range []string{"192.0.2.11", "192.0.2.12"} {
			if name, err := route(netip.MustParseAddr(address)); name != "eth1" || err != nil {
				t.Fatalf("%s: %q, %v", address, name, err)
			}
		}
		if _, err := route(lost); err == nil {
			t.Fatal("a way was found where there is none")
		}
	}
	for address, times := range asked {
		if times != 1 {
			t.Errorf("%s was asked for %d times", address, times)
		}
	}
	if named != 1 || len(asked) != 3 {
		t.Errorf("names were read %d times, %d addresses asked for", named, len(asked))
	}
}
