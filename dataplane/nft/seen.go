package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
)

// Seen implements Kernel.
func (Netfilter) Seen(ctx context.Context, name string) (Seen, error) {
	var seen Seen
	conn, err := connect(ctx)
	if err != nil {
		return seen, err
	}
	defer hangUp(conn)
	there, err := setNames(conn, name)
	if err != nil {
		return seen, err
	}
	for _, f := range families() {
		through, err1 := keysOf(conn, name, there, throughSpec(f))
		unmarked, err2 := keysOf(conn, name, there, unmarkedSpec(f))
		if err := errors.Join(err1, err2); err != nil {
			return Seen{}, err
		}
		for _, key := range through {
			if reply, ok := parseReply(key, int(f.address.Bytes)); ok {
				seen.Through = append(seen.Through, reply)
			}
		}
		for _, key := range unmarked {
			if d, ok := parseDestination(key, int(f.address.Bytes)); ok {
				seen.Unmarked = append(seen.Unmarked, d)
			}
		}
	}
	return seen, nil
}

// setNames returns the names of a table's sets; none if there is no such table.
func setNames(conn *nftables.Conn, table string) (map[string]bool, error) {
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil || !slices.ContainsFunc(tables, func(t *nftables.Table) bool { return t.Name == table }) {
		return nil, err
	}
	sets, err := conn.GetSets(tableOf(table))
	names := make(map[string]bool, len(sets))
	for _, s := range sets {
		names[s.Name] = true
	}
	return names, err
}

// keysOf returns the keys of a set; none if it is not there.
func keysOf(conn *nftables.Conn, table string, there map[string]bool, s setSpec) ([][]byte, error) {
	if !there[s.name] {
		return nil, nil
	}
	set, err := s.spec(tableOf(table))
	if err != nil {
		return nil, err
	}
	elements, err := conn.GetSetElements(set)
	keys := make([][]byte, 0, len(elements))
	for _, e := range elements {
		keys = append(keys, e.Key)
	}
	return keys, err
}

// parseReply reads a key of throughSpec: address, MAC address and two bytes of padding, address.
func parseReply(key []byte, size int) (Reply, bool) {
	const paddedMAC = 8
	if len(key) != 2*size+paddedMAC {
		return Reply{}, false
	}
	vip, ok1 := netip.AddrFromSlice(key[:size])
	client, ok2 := netip.AddrFromSlice(key[size+paddedMAC:])
	return Reply{VIP: vip, MAC: net.HardwareAddr(key[size : size+lengthMAC]), Client: client}, ok1 && ok2
}

// parseDestination reads what destinationKey writes.
func parseDestination(key []byte, size int) (Destination, bool) {
	if len(key) != size+8 {
		return Destination{}, false
	}
	address, ok := netip.AddrFromSlice(key[:size])
	d := Destination{Address: netip.AddrPortFrom(address, binary.BigEndian.Uint16(key[size+4:]))}
	for name, number := range protocols {
		if number == key[size] {
			d.Protocol = name
		}
	}
	return d, ok
}
