package dicom

import (
	"encoding/binary"
	"fmt"
)

// tag is group and element of a data element, group in the upper half.
type tag uint32

// Tags of the command set (PS3.7 annex E.1).
const (
	tagGroupLength tag = 0x00000000
	tagSOPClass    tag = 0x00000002
	tagCommand     tag = 0x00000100
	tagMessageID   tag = 0x00000110
	tagRespondedTo tag = 0x00000120
	tagDataSetType tag = 0x00000800
	tagStatus      tag = 0x00000900

	lastCommandTag tag = 0x0000FFFF
)

// noDataSet is the data set type of messages without data set (PS3.7 annex E.1).
const noDataSet = 0x0101

// elementHeader is tag(4) and length(4); groupLengthTotal is the whole group length element.
const (
	elementHeader    = 8
	groupLengthTotal = elementHeader + 4
)

// String returns the tag as the standard writes it.
func (t tag) String() string { return fmt.Sprintf("(%04X,%04X)", uint32(t)>>16, uint32(t)&0xFFFF) }

// element is one data element in Implicit VR Little Endian (PS3.5 section 7.1.3).
type element struct {
	tag   tag
	value []byte
}

// nextElement cuts the first element off b; the value aliases b.
func nextElement(b []byte) (element, []byte, error) {
	if len(b) < elementHeader {
		return element{}, nil, fmt.Errorf("element header cut after %d bytes: %w", len(b), ErrMalformed)
	}
	t := tag(binary.LittleEndian.Uint16(b))<<16 | tag(binary.LittleEndian.Uint16(b[2:]))
	length := binary.LittleEndian.Uint32(b[4:])
	if uint64(length) > uint64(len(b)-elementHeader) || length%2 != 0 {
		return element{}, nil, fmt.Errorf("element %v claims %d bytes, an even number up to %d possible: %w",
			t, length, len(b)-elementHeader, ErrMalformed)
	}
	end := elementHeader + int(length)
	return element{t, b[elementHeader:end:end]}, b[end:], nil
}

func (e element) uint16() (uint16, error) {
	if len(e.value) != 2 {
		return 0, fmt.Errorf("element %v has %d bytes, want 2: %w", e.tag, len(e.value), ErrMalformed)
	}
	return binary.LittleEndian.Uint16(e.value), nil
}

func appendElementHeader(dst []byte, t tag, length int) []byte {
	dst = binary.LittleEndian.AppendUint16(dst, uint16(t>>16))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(t))
	return binary.LittleEndian.AppendUint32(dst, uint32(length))
}

func appendUint16Element(dst []byte, t tag, v uint16) []byte {
	return binary.LittleEndian.AppendUint16(appendElementHeader(dst, t, 2), v)
}

// appendUIDElement appends a UID, padded with a zero byte to even length (PS3.5 section 9.1).
func appendUIDElement(dst []byte, t tag, uid string) []byte {
	dst = append(appendElementHeader(dst, t, len(uid)+len(uid)%2), uid...)
	if len(uid)%2 != 0 {
		dst = append(dst, 0)
	}
	return dst
}
