package modes

import (
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/lab/pcap"
	"github.com/truepacs/balancer/e2e/suite"
	"github.com/truepacs/balancer/e2e/talk"
)

// errorsOnly are ICMP errors, also those within tunnels.
const errorsOnly = "icmp or icmp6 or (ip proto 4 and ip[29] = 1) or (ip6 proto 41 and ip6[46] = 58)"

// transfer moves bytes each way, half of them in each family, half of those to each server, and looks
// whom the routers' complaints reach.
func (w *world) transfer(mode v1alpha1.Mode, bytes int64) {
	recording := w.record(mode, errorsOnly)
	router, err := w.near.Capture(w.Context(), "eth1", errorsOnly)
	suite.Must(w.T, err)
	began := time.Now()
	var moved []one
	for _, vip := range virtualIPs[:2] {
		moved = append(moved, w.transferBoth(mode, netip.AddrPortFrom(address(vip.address), portOf(mode)), bytes/4)...)
	}
	w.Logf("%s: %d connections moved %d MB each way in %s", mode, len(moved), bytes>>20, time.Since(began).Round(time.Second))
	sent, err := router.Frames()
	suite.Must(w.T, err)
	w.checkComplaints(mode, moved, sent, recording.stop())
}

// transferBoth has each client move bytes to and from a server of its own.
func (w *world) transferBoth(mode v1alpha1.Mode, vip netip.AddrPort, bytes int64) []one {
	moved := make([]one, len(w.clients))
	var group errgroup.Group
	for i, client := range w.clients {
		// What a client has learnt about the link, it tells servers by the size of its segments.
		w.run(client, "ip", "route", "flush", "cache")
		w.run(client, "ip", "-6", "route", "flush", "cache")
		conn, err := client.Dial(w.Context(), "tcp", vip.String())
		suite.Must(w.T, err)
		w.Cleanup(func() { _ = conn.Close() })
		s, err := talk.NewStream(conn, transferTime)
		suite.Must(w.T, err)
		who, err := s.Ask()
		suite.Must(w.T, err)
		moved[i] = one{protocol: v1alpha1.ProtocolTCP, vip: vip, client: clientOf(conn), who: who}
		group.Go(func() error {
			if err := s.Put(bytes, uint64(i)); err != nil {
				return fmt.Errorf("%s to %s: %w", mode, vip, err)
			}
			if err := s.Get(bytes, uint64(i)); err != nil {
				return fmt.Errorf("%s from %s: %w", mode, vip, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		w.Error(err)
	}
	if moved[0].who.Server == moved[1].who.Server {
		w.Errorf("%s at %s: both clients came to %s", mode, vip, moved[0].who.Server)
	}
	return moved
}

// transferTime bounds one transfer in an emulated machine.
const transferTime = 20 * time.Minute

// checkComplaints: the router complains to the virtual IP; the server that has the connection gets
// to know, the other one does not.
func (w *world) checkComplaints(mode v1alpha1.Mode, moved []one, sent []pcap.Frame, frames map[string][]pcap.Frame) {
	for _, o := range moved {
		where := fmt.Sprintf("%s at %s from %s, server %s", mode, o.vip, o.client, o.who.Server)
		if n := complaints(sent, o.vip.Addr(), o.vip, o.client); n == 0 {
			w.Errorf("%s: the router has not complained to the virtual IP, the sample is empty", where)
		}
		for _, s := range serversOf(mode) {
			from := o.vip // of the packet that did not fit, as the server has sent it
			if mode == v1alpha1.ModeL4NAT || mode == v1alpha1.ModeL4SNAT {
				from = netip.AddrPortFrom(s.own(o.vip.Addr()), o.vip.Port())
			}
			n := complaints(frames[s.name+" eth0"], from.Addr(), from, o.who.Client)
			if (n > 0) != (s.name == o.who.Server) {
				w.Errorf("%s: %d ICMP errors about the connection reach %s", where, n, s.name)
			}
		}
	}
}

// complaints counts ICMP errors to an address about packets of a connection that did not fit into
// the narrow link.
func complaints(frames []pcap.Frame, to netip.Addr, source, destination netip.AddrPort) int {
	n := 0
	for _, f := range frames {
		packet, _ := unpacked(f)
		c, ok := parseTooBig(packet)
		if ok && packet.Destination == to && c.source == source && c.destination == destination && c.mtu == narrowMTU {
			n++
		}
	}
	return n
}
