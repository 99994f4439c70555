package ipvs_test

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
	"github.com/truepacs/balancer/dataplane/model"
)

func TestConnections(t *testing.T) {
	at := netip.MustParseAddrPort
	dicom, six := ipvstest.Dicom(), ipvstest.Dicom()
	dicom.PortRanges = []model.PortRange{{First: 5000, Last: 5009}}
	dicom.Also = []model.Match{{Addresses: dicom.Addresses, Protocol: model.UDP, Ports: []uint16{104}}}
	six.Key, six.Addresses = "imaging/radiology/six", []netip.Addr{netip.MustParseAddr("2001:db8::100")}
	six.Servers = nil
	fake := &ipvs.Fake{}
	driver := ipvs.New(ipvs.Config{Kernel: fake})
	if err := driver.Set(t.Context(), []model.VirtualService{dicom, six}); err != nil {
		t.Fatal(err)
	}
	one := func(protocol, client, virtual, server, state string) procfs.Connection {
		return procfs.Connection{Protocol: protocol, Client: at(client), Virtual: at(virtual), Destination: at(server), State: state, Expires: time.Minute}
	}
	fake.SetConnections(
		one("TCP", "198.51.100.9:40000", "192.0.2.100:104", "192.0.2.11:104", "ESTABLISHED"),
		one("IP", "198.51.100.9:0", "84.0.0.1:0", "192.0.2.11:0", "ASSURED"),
		one("IP", "[2001:db8:9::]:0", "[5400:1::]:0", "[2001:db8::b]:0", "NONE"),
		one("TCP", "198.51.100.8:40001", "192.0.2.100:5009", "192.0.2.12:5009", "FIN_WAIT"),
		one("TCP", "198.51.100.8:40002", "192.0.2.100:5010", "192.0.2.12:5010", "ESTABLISHED"),
		one("UDP", "198.51.100.7:104", "192.0.2.100:104", "192.0.2.12:104", "UDP"),
	)
	key := dicom.Key
	tests := map[string]struct {
		filter ipvs.ConnectionFilter
		want   []string
	}{
		"all": {ipvs.ConnectionFilter{}, []string{
			key + " 198.51.100.9:40000 false", key + " 198.51.100.9:0 true", six.Key + " [2001:db8:9::]:0 true",
			key + " 198.51.100.8:40001 false", " 198.51.100.8:40002 false", key + " 198.51.100.7:104 false",
		}},
		"service":      {ipvs.ConnectionFilter{Key: six.Key}, []string{six.Key + " [2001:db8:9::]:0 true"}},
		"client":       {ipvs.ConnectionFilter{Client: netip.MustParsePrefix("198.51.100.9/32"), WithoutTemplates: true}, []string{key + " 198.51.100.9:40000 false"}},
		"virtual":      {ipvs.ConnectionFilter{Virtual: netip.MustParseAddr("84.0.0.1")}, nil},
		"server":       {ipvs.ConnectionFilter{Server: netip.MustParseAddr("192.0.2.11")}, []string{key + " 198.51.100.9:40000 false", key + " 198.51.100.9:0 true"}},
		"state":        {ipvs.ConnectionFilter{State: "FIN_WAIT"}, []string{key + " 198.51.100.8:40001 false"}},
		"nobody's key": {ipvs.ConnectionFilter{Key: "nobody"}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			err := driver.Connections(t.Context(), tc.filter, func(c ipvs.Connection) error {
				got = append(got, fmt.Sprint(c.Key, " ", c.Client, " ", c.Template))
				return nil
			})
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("%v (-want +got):\n%s", err, diff)
			}
		})
	}
	enough := errors.New("enough")
	if err := driver.Connections(t.Context(), ipvs.ConnectionFilter{}, func(ipvs.Connection) error { return enough }); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

// TestConnectionsBeforeTheFirstSet is what a process sees that has just started.
func TestConnectionsBeforeTheFirstSet(t *testing.T) {
	fake := &ipvs.Fake{}
	driver := ipvs.New(ipvs.Config{Kernel: fake})
	fake.SetConnections(procfs.Connection{
		Protocol: "TCP", Client: netip.MustParseAddrPort("198.51.100.9:40000"), Virtual: netip.MustParseAddrPort("192.0.2.100:104"),
		Destination: netip.MustParseAddrPort("192.0.2.11:104"), State: "ESTABLISHED",
	})
	key := func(all []model.VirtualService) (key string) {
		err := driver.ConnectionsOf(t.Context(), all, ipvs.ConnectionFilter{}, func(c ipvs.Connection) error { key = c.Key; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return key
	}
	if got, want := key([]model.VirtualService{ipvstest.Dicom()}), ipvstest.Dicom().Key; got != want {
		t.Errorf("the connection is of %q, want %q", got, want)
	}
	if got := key(nil); got != "" {
		t.Errorf("the connection is of %q without services", got)
	}
}

func TestStats(t *testing.T) {
	fake := &ipvs.Fake{}
	driver := ipvs.New(ipvs.Config{Kernel: fake})
	if err := driver.Set(t.Context(), []model.VirtualService{ipvstest.Dicom(), ipvstest.Web()}); err != nil {
		t.Fatal(err)
	}
	many := genl.Stats{Connections: 1 << 40, BytesIn: 1 << 50, ConnectionRate: 1 << 33}
	fake.SetFigures(0x54000001, netip.MustParseAddr("192.0.2.12"), 3, 4, many)
	stats, err := driver.Stats(t.Context())
	if err != nil || len(stats) != 2 || len(stats[0].Servers) != 2 {
		t.Fatalf("got %v, %v", stats, err)
	}
	want := ipvs.ServerStats{Name: "pacs-b", Address: netip.MustParseAddrPort("192.0.2.12:0"), Weight: 100, Active: 3, Inactive: 4, Counters: many}
	if got := stats[0].Servers[1]; got != want || stats[0].Key != ipvstest.Dicom().Key {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
