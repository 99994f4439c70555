package procfs

import (
	"encoding/binary"
	"math/bits"
)

// IPv6PrefixLength returns the prefix length of a persistent IPv6 service from its ClientMask: the
// kernel prints the number as if it were in network order.
func IPv6PrefixLength(clientMask uint32) int {
	b := binary.BigEndian.AppendUint32(nil, clientMask)
	return int(binary.NativeEndian.Uint32(b))
}

// IPv6ClientMask is the opposite of IPv6PrefixLength.
func IPv6ClientMask(length int) uint32 {
	b := binary.NativeEndian.AppendUint32(nil, uint32(length))
	return binary.BigEndian.Uint32(b)
}

// IPv4PrefixLength returns the prefix length of a persistent IPv4 service from its ClientMask, -1
// for a mask with holes.
func IPv4PrefixLength(clientMask uint32) int {
	length := bits.LeadingZeros32(^clientMask)
	if clientMask<<length != 0 {
		return -1
	}
	return length
}

// IPv4ClientMask is the opposite of IPv4PrefixLength; lengths beyond 0 to 32 count as those.
func IPv4ClientMask(length int) uint32 { return ^uint32(0) << (32 - min(max(length, 0), 32)) }
