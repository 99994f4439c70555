package modes

import (
	"encoding/binary"
	"net"
	"net/netip"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/lab/pcap"
	"github.com/truepacs/balancer/e2e/suite"
)

// protocolIPv6 is IPv6 in IPv6 (RFC 2473).
const protocolIPv6 = 41

// recording is what the director's and the servers' cables carry.
type recording struct {
	w        *world
	captures map[string]*lab.Capture // by host and interface
}

// record starts to record at the director and the servers of a mode.
func (w *world) record(mode v1alpha1.Mode, filter string) *recording {
	r := &recording{w: w, captures: map[string]*lab.Capture{}}
	add := func(host lab.Host, nic string) {
		c, err := host.Capture(w.Context(), nic, filter)
		suite.Must(w.T, err)
		r.captures[host.Name()+" "+nic] = c
	}
	add(w.director, "eth0")
	add(w.director, "eth1")
	for _, s := range serversOf(mode) {
		add(w.hosts[s.name], "eth0")
	}
	return r
}

// stop returns the frames of each cable that the host itself sends or gets.
func (r *recording) stop() map[string][]pcap.Frame {
	out := map[string][]pcap.Frame{}
	for name, c := range r.captures {
		frames, err := c.Frames()
		suite.Must(r.w.T, err)
		out[name] = frames
	}
	return out
}

// macs are the hardware addresses of the director.
func (w *world) macs() (eth0, eth1 string) { return w.director.MAC("eth0"), w.director.MAC("eth1") }

func touches(f pcap.Frame, mac string) bool {
	return f.SourceMAC.String() == mac || f.DestinationMAC.String() == mac
}

// inner is the packet in a tunnel's packet or behind an ICMP error; its link addresses are empty.
func inner(packet []byte) (pcap.Frame, bool) {
	if len(packet) < 20 {
		return pcap.Frame{}, false
	}
	kind := uint16(pcap.EtherIPv4)
	if packet[0]>>4 == 6 {
		kind = pcap.EtherIPv6
	}
	f := pcap.Decode(append(binary.BigEndian.AppendUint16(make([]byte, 12), kind), packet...))
	return f, f.Source.IsValid()
}

// unpacked is the packet that a frame carries through a tunnel, or the frame itself.
func unpacked(f pcap.Frame) (packet pcap.Frame, tunnelled bool) {
	if f.Protocol != pcap.ProtocolIPIP && f.Protocol != protocolIPv6 {
		return f, false
	}
	packet, ok := inner(f.Payload)
	return packet, ok
}

// Types and codes of ICMP errors about packets that are too big (RFC 1191; RFC 4443 section 3.2).
const (
	icmpUnreachable = 3
	icmpTooBig      = 4
	icmpv6TooBig    = 2
	protocolICMPv6  = 58
)

// tooBig is what an ICMP error says about a packet that did not fit.
type tooBig struct {
	source, destination netip.AddrPort // of that packet
	mtu                 uint32
	router              netip.Addr
}

func parseTooBig(f pcap.Frame) (tooBig, bool) {
	p := f.Payload
	if len(p) < 8 {
		return tooBig{}, false
	}
	four := f.Protocol == pcap.ProtocolICMP && p[0] == icmpUnreachable && p[1] == icmpTooBig
	six := f.Protocol == protocolICMPv6 && p[0] == icmpv6TooBig
	lost, ok := embedded(p[8:])
	if !ok || !four && !six {
		return tooBig{}, false
	}
	lost.mtu, lost.router = binary.BigEndian.Uint32(p[4:]), f.Source
	return lost, true
}

// embedded reads addresses and ports of the packet behind an ICMP error, of which there may be no
// more than its first eight bytes behind the network header.
func embedded(p []byte) (tooBig, bool) {
	header, addresses := 20, 12
	if len(p) > 0 && p[0]>>4 == 6 {
		header, addresses = 40, 8
	}
	length := (header - addresses) / 2
	if len(p) < header+4 {
		return tooBig{}, false
	}
	from, _ := netip.AddrFromSlice(p[addresses : addresses+length])
	to, _ := netip.AddrFromSlice(p[addresses+length : header])
	return tooBig{
		source:      netip.AddrPortFrom(from, binary.BigEndian.Uint16(p[header:])),
		destination: netip.AddrPortFrom(to, binary.BigEndian.Uint16(p[header+2:])),
	}, true
}

// maximumSegment is the segment size that a TCP packet offers; 0: none.
func maximumSegment(f pcap.Frame) uint16 {
	transport := f.Data[len(f.Data)-int(tcpLength(f)):]
	if len(transport) < 20 {
		return 0
	}
	options := transport[20:min(len(transport), int(transport[12]>>4)*4)]
	for len(options) >= 2 {
		switch {
		case options[0] == 0:
			return 0
		case options[0] == 1:
			options = options[1:]
		case options[0] == 2 && len(options) >= 4:
			return binary.BigEndian.Uint16(options[2:])
		case int(options[1]) < 2 || int(options[1]) > len(options):
			return 0
		default:
			options = options[options[1]:]
		}
	}
	return 0
}

// tcpLength is how many bytes of a frame are TCP, options included.
func tcpLength(f pcap.Frame) uint16 {
	if f.EtherType == pcap.EtherIPv6 {
		return binary.BigEndian.Uint16(f.Data[14+4:])
	}
	return binary.BigEndian.Uint16(f.Data[14+2:]) - uint16(f.Data[14]&0xf)*4
}

func clientOf(conn net.Conn) netip.AddrPort {
	p := netip.MustParseAddrPort(conn.LocalAddr().String())
	return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
}
