package inspect_test

import (
	"context"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/nft"
	"github.com/truepacs/balancer/internal/inspect"
)

const mark = 0x54000001

var vip = netip.MustParseAddr("192.0.2.100")

// director is a director with one service in fakes of the kernel.
type director struct {
	kernel *ipvs.Fake
	filter *nft.Fake
	node   model.Node
	source *inspect.Source
}

func newDirector(t *testing.T) *director {
	t.Helper()
	d := &director{kernel: &ipvs.Fake{}, filter: &nft.Fake{}}
	d.node = model.Node{
		VirtualIPs: []model.VirtualIP{{Address: vip}},
		Services: []model.VirtualService{{
			Key: "pacs/radiology/dicom", Mark: mark, Addresses: []netip.Addr{vip}, Protocol: model.TCP, Ports: []uint16{104},
			Forwarding: model.DirectRouting, Scheduler: model.WeightedFailover,
			Persistence: &model.Persistence{Timeout: time.Minute, PrefixLength: 24},
			Servers: []model.RealServer{
				{Name: "pacs-a", Address: netip.MustParseAddr("192.0.2.11"), Weight: 2}, {Name: "pacs-b", Address: netip.MustParseAddr("192.0.2.12"), Weight: 1},
			},
		}},
	}
	driver := ipvs.New(ipvs.Config{Kernel: d.kernel})
	if err := driver.Set(t.Context(), d.node.Services); err != nil {
		t.Fatal(err)
	}
	d.source = &inspect.Source{
		Observed:      func() agent.Observed { return agent.Observed{Revision: 1, Node: d.node} },
		VirtualServer: driver, PacketFilter: nft.New(nft.Config{Kernel: d.filter}),
	}
	return d
}

// connect adds connections of clients 198.51.x.y, and a remembered network.
func (d *director) connect(n int) {
	all := []procfs.Connection{{
		Protocol: "IP", Client: netip.MustParseAddrPort("203.0.113.0:0"), Destination: netip.MustParseAddrPort("192.0.2.12:0"),
		Virtual: netip.AddrPortFrom(netip.AddrFrom4([4]byte{0x54, 0, 0, 1}), 0), State: "NONE", Expires: 50 * time.Second,
	}}
	for i := range n {
		all = append(all, procfs.Connection{
			Protocol: "TCP", Client: netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)}), uint16(40000+i%20000)),
			Virtual: netip.AddrPortFrom(vip, 104), State: "ESTABLISHED", Expires: time.Hour,
			Destination: netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i%2)}), 104),
		})
	}
	d.kernel.SetConnections(all...)
}

// serve answers at a socket until the test ends.
func (d *director) serve(t *testing.T) *inspect.Client {
	t.Helper()
	dir := t.TempDir()
	mux := http.NewServeMux()
	d.source.Register(mux)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- inspect.Serve(ctx, dir, mux) }()
	client := inspect.NewClient(dir)
	t.Cleanup(func() {
		client.Close()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		if _, err := client.Stats(t.Context()); err == nil {
			return client
		} else if time.Since(start) > 10*time.Second {
			t.Fatal(err)
		}
	}
}

// count sets what the kernel has counted.
func (d *director) count(connections, packets uint64) {
	d.kernel.SetFigures(mark, netip.MustParseAddr("192.0.2.11"), 3, 4, genl.Stats{Connections: connections, PacketsIn: packets, BytesIn: 100 * packets})
	d.filter.CountedPorts = []nft.PortCounter{{Mark: mark, Address: vip, Protocol: model.TCP, First: 104, Last: 104, Packets: packets, Bytes: 100 * packets}}
}
