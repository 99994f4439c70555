package nft

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/model"
)

// PortCounter is what clients have sent to a port, or to a range of ports, of a virtual IP address.
// What they get is not in it: with direct routing and tunnels it does not pass the director.
type PortCounter struct {
	// Mark is the service's firewall mark.
	Mark uint32
	// Address is the virtual IP address.
	Address netip.Addr
	// Protocol is the transport protocol.
	Protocol model.Protocol
	// First and Last are the ports, equal for a single one.
	First, Last uint16
	// Packets and Bytes, IP headers included, were counted since the port was declared or the table
	// made anew; frames that another director has sent on are not in them.
	Packets, Bytes uint64
}

// Ports implements Kernel.
func (Netfilter) Ports(ctx context.Context, name string) ([]PortCounter, error) {
	conn, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	defer hangUp(conn)
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil || !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == name }) {
		return nil, err
	}
	sets, err := conn.GetSets(tableOf(name))
	if err != nil {
		return nil, err
	}
	var all []PortCounter
	for _, set := range sets {
		if !slices.Contains([]string{"services4", "services6", "ranges4", "ranges6"}, set.Name) {
			continue
		}
		elements, err := conn.GetSetElements(set)
		if err != nil {
			return nil, err
		}
		for i := range elements {
			if p, ours := portCounterOf(&elements[i]); ours {
				all = append(all, p)
			}
		}
	}
	return all, nil
}

// portCounterOf reads an element: address, protocol and port, each from a multiple of four bytes on.
func portCounterOf(e *nftables.SetElement) (PortCounter, bool) {
	length := len(e.Key) - 8
	address, isAddress := netip.AddrFromSlice(e.Key[:max(length, 0)])
	if e.Counter == nil || !isAddress || len(e.Val) != lengthMark {
		return PortCounter{}, false
	}
	p := PortCounter{
		Mark: binary.NativeEndian.Uint32(e.Val), Address: address, Protocol: model.TCP,
		First: binary.BigEndian.Uint16(e.Key[length+4:]), Packets: e.Counter.Packets, Bytes: e.Counter.Bytes,
	}
	if e.Key[length] == unix.IPPROTO_UDP {
		p.Protocol = model.UDP
	}
	p.Last = p.First
	if len(e.KeyEnd) == len(e.Key) {
		p.Last = binary.BigEndian.Uint16(e.KeyEnd[length+4:])
	}
	return p, true
}
