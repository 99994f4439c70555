package modes

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/lab/pcap"
	"github.com/truepacs/balancer/e2e/suite"
	"github.com/truepacs/balancer/e2e/talk"
)

// patience is how long a connection to an emulated machine may take.
const patience = time.Minute

// TestEveryModeCarriesTraffic runs every cell of mode, protocol, family and network of the virtual IP,
// then transfers through the narrow link.
func TestEveryModeCarriesTraffic(t *testing.T) {
	megabytes, err := suite.Number("MODES_MEGABYTES", 20)
	suite.Must(t, err)
	if megabytes == 0 {
		t.Fatal("MODES_MEGABYTES=0: the sample is empty; write a number from 1 on")
	}
	w := newWorld(t)
	cells := 0
	for _, mode := range modes {
		cells += w.carry(mode)
	}
	w.checkTracking()
	for _, mode := range modes {
		w.transfer(mode, int64(megabytes)<<20)
	}
	suite.Verdict(t, "%d cells with %d exchanges each; %d MB each way and mode through a link of %d bytes; MODES_MEGABYTES=%d",
		cells, exchanges, megabytes, narrowMTU, megabytes)
}

// exchanges is how many connections, or flows of datagrams, each cell has: each of two clients comes
// to each of two servers.
const exchanges = 4

// one is an exchange that took place.
type one struct {
	protocol v1alpha1.Protocol
	vip      netip.AddrPort
	client   netip.AddrPort // as the client is
	who      talk.Who       // as the server says
}

// carry fills the cells of a mode and returns how many they are.
func (w *world) carry(mode v1alpha1.Mode) int {
	port := portOf(mode)
	recording := w.record(mode, fmt.Sprintf("port %d or ip proto 4 or ip6 proto 41", port))
	var all []one
	cells := 0
	for _, protocol := range []v1alpha1.Protocol{v1alpha1.ProtocolTCP, v1alpha1.ProtocolUDP} {
		for _, vip := range virtualIPs {
			cells++
			all = append(all, w.cell(mode, protocol, netip.AddrPortFrom(address(vip.address), port))...)
		}
	}
	frames := recording.stop()
	for _, o := range all {
		w.checkPath(mode, o, frames)
	}
	if mode == v1alpha1.ModeL4Tunnel {
		w.checkClamp(all, frames)
	}
	w.Logf("%s: %d cells, %d exchanges", mode, cells, len(all))
	return cells
}

// cell has each client come to each server.
func (w *world) cell(mode v1alpha1.Mode, protocol v1alpha1.Protocol, vip netip.AddrPort) []one {
	var all []one
	served := map[string]bool{}
	for _, client := range w.clients {
		for range exchanges / len(w.clients) {
			o, err := w.exchange(client, protocol, vip)
			if err != nil {
				w.Errorf("%s %s at %s from %s: %v", mode, protocol, vip, client.Name(), err)
				return all // the others of the cell would wait as long
			}
			served[client.Name()+" "+o.who.Server] = true
			all = append(all, o)
		}
	}
	if len(served) != exchanges {
		w.Errorf("%s %s at %s: not every client came to every server: %v", mode, protocol, vip, served)
	}
	return all
}

func (w *world) exchange(client *lab.Namespace, protocol v1alpha1.Protocol, vip netip.AddrPort) (one, error) {
	o := one{protocol: protocol, vip: vip}
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	conn, err := client.Dial(ctx, strings.ToLower(string(protocol)), vip.String())
	if err != nil {
		return o, err
	}
	defer conn.Close()
	o.client = clientOf(conn)
	if protocol == v1alpha1.ProtocolUDP {
		o.who, err = talk.Exchange(conn, datagrams(), patience)
		return o, err
	}
	s, err := talk.NewStream(conn, patience)
	if err != nil {
		return o, err
	}
	if o.who, err = s.Ask(); err != nil {
		return o, err
	}
	return o, s.Put(1000, 1) // no client learns here that the link is narrow
}

// datagrams are of several sizes that fit through the narrow link, with the server's words.
func datagrams() []string {
	var all []string
	for i, size := range []int{1, 100, 500, 1000, 1200} {
		all = append(all, strconv.Itoa(i)+strings.Repeat("x", size))
	}
	return all
}

// checkPath has the captures as witnesses of the way that an exchange took.
func (w *world) checkPath(mode v1alpha1.Mode, o one, frames map[string][]pcap.Frame) {
	s := findServer(o.who.Server)
	seen := w.seen(o, s, frames)
	where := fmt.Sprintf("%s %s at %s from %s, server %s", mode, o.protocol, o.vip, o.client, o.who.Server)
	expect := func(holds bool, format string, args ...any) {
		if !holds {
			w.Errorf("%s: %s; %+v", where, fmt.Sprintf(format, args...), seen)
		}
	}
	expect(seen.requestsIn > 0, "no request reaches the director")
	expect(seen.atServer > 0 && seen.fromServer > 0, "the server's cable shows no such packets")
	if mode == v1alpha1.ModeL4SNAT {
		director := map[bool]string{true: "10.0.0.2", false: "2001:db8:10::2"}[o.vip.Addr().Is4()]
		expect(o.who.Client.Addr().String() == director, "the server sees %s, not the director", o.who.Client)
	} else {
		expect(o.who.Client == o.client, "the server sees %s, not the client", o.who.Client)
	}
	switch mode {
	case v1alpha1.ModeL4DR, v1alpha1.ModeL4Tunnel:
		expect(seen.repliesOut == 0 && seen.repliesIn == 0, "replies cross the director")
	default:
		expect(seen.repliesOut > 0 && seen.repliesIn > 0, "replies do not cross the director")
	}
	expect((seen.tunnelled > 0) == (mode == v1alpha1.ModeL4Tunnel) && (seen.plain > 0) != (mode == v1alpha1.ModeL4Tunnel),
		"requests come to the server by another way of packing")
}

// sight is how many packets of an exchange were seen.
type sight struct {
	requestsIn, repliesOut, repliesIn int // at the director, of the client's and of the server's side
	atServer, fromServer              int
	tunnelled, plain                  int // requests at the server
}

func (w *world) seen(o one, s server, frames map[string][]pcap.Frame) sight {
	var n sight
	eth0, eth1 := w.macs()
	own := netip.AddrPortFrom(s.own(o.vip.Addr()), o.vip.Port())
	for _, nic := range []string{"eth0", "eth1"} {
		for _, f := range frames["lb1 "+nic] {
			from, to := ends(f)
			mac := map[string]string{"eth0": eth0, "eth1": eth1}[nic]
			switch {
			case !touches(f, mac):
			case from == o.client && to == o.vip && f.DestinationMAC.String() == mac:
				n.requestsIn++
			case from == o.vip && to == o.client && f.SourceMAC.String() == mac:
				n.repliesOut++
			case to == o.client && from == o.vip, to == o.who.Client && from == own && f.DestinationMAC.String() == mac:
				n.repliesIn++
			}
		}
	}
	w.seenAtServer(&n, o, own, frames[o.who.Server+" eth0"])
	return n
}

// seenAtServer counts at the server's cable; own is the server's address and port.
func (w *world) seenAtServer(n *sight, o one, own netip.AddrPort, frames []pcap.Frame) {
	accepts := o.vip // what requests go to
	if mode := findServer(o.who.Server).mode; mode == v1alpha1.ModeL4NAT || mode == v1alpha1.ModeL4SNAT {
		accepts = own
	}
	director := address(map[bool]string{true: "192.0.2.2", false: "2001:db8:1::2"}[o.vip.Addr().Is4()])
	for _, f := range frames {
		packet, tunnelled := unpacked(f)
		from, to := ends(packet)
		switch {
		case from == o.who.Client && to == accepts:
			n.atServer++
			if tunnelled && f.Source == director && f.Destination == own.Addr() {
				n.tunnelled++
			}
			if !tunnelled {
				n.plain++
			}
		case from == accepts && to == o.who.Client && !tunnelled:
			n.fromServer++
		}
	}
}

func ends(f pcap.Frame) (from, to netip.AddrPort) {
	return netip.AddrPortFrom(f.Source, f.SourcePort), netip.AddrPortFrom(f.Destination, f.DestinationPort)
}

// checkClamp looks at the segment sizes that tunnel servers offer: packets of that size with a
// second network header fit into 1500 bytes.
func (w *world) checkClamp(all []one, frames map[string][]pcap.Frame) {
	offers := map[bool]map[uint16]int{true: {}, false: {}}
	for _, o := range all {
		for _, f := range frames[o.who.Server+" eth0"] {
			if from, _ := ends(f); from == o.vip && f.Protocol == pcap.ProtocolTCP && f.TCPFlags&0x12 == 0x12 {
				offers[f.Source.Is4()][maximumSegment(f)]++
			}
		}
	}
	for four, want := range map[bool]uint16{true: 1440, false: 1400} {
		if len(offers[four]) != 1 || offers[four][want] == 0 {
			w.Errorf("tunnel servers offer segments of %v bytes (by how often), want %d", offers[four], want)
		}
	}
}

// checkTracking has connections of all modes open on one director: only those that are translated
// are tracked.
func (w *world) checkTracking() {
	var conns []net.Conn
	for _, mode := range modes {
		for _, vip := range virtualIPs {
			conn, err := w.clients[0].Dial(w.Context(), "tcp", netip.AddrPortFrom(address(vip.address), portOf(mode)).String())
			if err != nil {
				w.Errorf("%s at %s: %v", mode, vip.address, err)
				continue
			}
			conns = append(conns, conn)
		}
	}
	listed := w.run(w.director, "conntrack", "-L") + w.run(w.director, "conntrack", "-L", "-f", "ipv6")
	for _, conn := range conns {
		_ = conn.Close()
	}
	for _, mode := range modes {
		n := 0 // without the checks of servers at their own addresses
		for _, vip := range virtualIPs {
			n += len(regexp.MustCompile(fmt.Sprintf(`dst=%s sport=\d+ dport=%d `, regexp.QuoteMeta(vip.address), portOf(mode))).FindAllString(listed, -1))
		}
		tracked := mode == v1alpha1.ModeL4SNAT || mode == v1alpha1.ModeL4NAT
		if (n > 0) != tracked {
			w.Errorf("%s: connection tracking of the director has %d entries:\n%s", mode, n, listed)
		}
		w.Logf("%s: %d entries in connection tracking", mode, n)
	}
}
