package proxyproto

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
)

const (
	signature = "\r\n\r\n\x00\r\nQUIT\n"
	// fixed is the length of what stands before the addresses: signature, version and command, family and transport,
	// length of the rest.
	fixed = len(signature) + 4

	version2 = 0x20 // upper half of the byte after the signature
	local    = 0x00 // lower half
	proxy    = 0x01

	unspecified = 0x00 // family, or transport
	inet        = 0x10
	inet6       = 0x20
	unix        = 0x30
	stream      = 0x01
	datagram    = 0x02

	inetSize, inet6Size, unixSize = 2*4 + 2*2, 2*16 + 2*2, 2 * 108
)

func parseBinary(b []byte) (h Header, n int, err error) {
	if !begins(b, signature) {
		return Header{}, 0, errNoHeader
	}
	if at := len(signature); len(b) > at {
		if b[at]&0xf0 != version2 {
			return Header{}, 0, errVersion
		}
		if b[at]&0x0f > proxy {
			return Header{}, 0, errCommand
		}
	}
	if len(b) < fixed {
		return Header{}, 0, nil
	}
	command, family := b[fixed-4]&0x0f, b[fixed-3]
	if command == proxy && (family&0xf0 > unix || family&0x0f > datagram) {
		return Header{}, 0, errFamily
	}
	n = fixed + int(binary.BigEndian.Uint16(b[fixed-2:]))
	switch {
	case n > MaxSize:
		return Header{}, 0, errSize
	case len(b) < n:
		return Header{}, 0, nil
	}
	h.Version = V2
	if command == local {
		return h, n, nil // what follows is to be ignored, the family too
	}
	if err = h.read(b[:n], family); err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// read reads what follows the fixed part of a whole header.
func (h *Header) read(b []byte, family byte) error {
	if family&0xf0 == unspecified || family&0x0f == unspecified {
		return nil // what follows is not said to be anything
	}
	size := inetSize
	switch family & 0xf0 {
	case inet6:
		size = inet6Size
	case unix:
		size = unixSize
	}
	if len(b) < fixed+size {
		return errShort
	}
	if err := checkTLVs(b, fixed+size); err != nil {
		return err
	}
	at := b[fixed:]
	switch family {
	case inet | stream:
		h.Source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(at)), binary.BigEndian.Uint16(at[8:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom4([4]byte(at[4:])), binary.BigEndian.Uint16(at[10:]))
	case inet6 | stream:
		h.Source = netip.AddrPortFrom(netip.AddrFrom16([16]byte(at)), binary.BigEndian.Uint16(at[32:]))
		h.Destination = netip.AddrPortFrom(netip.AddrFrom16([16]byte(at[16:])), binary.BigEndian.Uint16(at[34:]))
	}
	return nil
}

// Types of TLV (section 2.2).
const (
	typeCRC32C = 0x03
	typeSSL    = 0x20
	// sslSize is the length of what stands before the TLVs within one of typeSSL.
	sslSize = 5
)

// checkTLVs checks the TLVs of the whole header b, which begin at from.
func checkTLVs(b []byte, from int) error {
	sum := -1
	for at := from; at < len(b); {
		value, next, ok := cutTLV(b, at)
		if !ok {
			return errTLV
		}
		switch b[at] {
		case typeCRC32C:
			if next-value != crc32.Size || sum >= 0 {
				return errSum
			}
			sum = value
		case typeSSL:
			if !framed(b[value:next]) {
				return errTLV
			}
		}
		at = next
	}
	if sum >= 0 && binary.BigEndian.Uint32(b[sum:]) != checksum(b, sum) {
		return errCorrupt
	}
	return nil
}

// cutTLV says where the value of the TLV at a place begins and where the next TLV does.
func cutTLV(b []byte, at int) (value, next int, ok bool) {
	if len(b)-at < 3 {
		return 0, 0, false
	}
	value = at + 3
	next = value + int(binary.BigEndian.Uint16(b[at+1:]))
	return value, next, next <= len(b)
}

// framed says whether the value of a TLV of typeSSL is one.
func framed(b []byte) bool {
	ok := len(b) >= sslSize
	for at := sslSize; ok && at < len(b); {
		_, at, ok = cutTLV(b, at)
	}
	return ok
}

// checksum is the CRC32C (RFC 9260, appendix A) of a header, with zeros in place of the checksum that is at a place.
func checksum(b []byte, at int) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	sum := ^crc32.Update(0, table, b[:at])
	for range crc32.Size {
		sum = table[byte(sum)] ^ sum>>8
	}
	return crc32.Update(^sum, table, b[at+crc32.Size:])
}

func appendBinary(dst []byte, source, destination netip.AddrPort) []byte {
	dst = append(dst, signature...)
	switch {
	case !source.IsValid() || !destination.IsValid():
		return append(dst, version2|local, unspecified, 0, 0)
	case is4(source, destination):
		from, to := source.Addr().Unmap().As4(), destination.Addr().Unmap().As4()
		dst = append(dst, version2|proxy, inet|stream, 0, inetSize)
		dst = append(append(dst, from[:]...), to[:]...)
	default:
		from, to := source.Addr().As16(), destination.Addr().As16()
		dst = append(dst, version2|proxy, inet6|stream, 0, inet6Size)
		dst = append(append(dst, from[:]...), to[:]...)
	}
	dst = binary.BigEndian.AppendUint16(dst, source.Port())
	return binary.BigEndian.AppendUint16(dst, destination.Port())
}
