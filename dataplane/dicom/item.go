package dicom

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Item types of association PDUs (PS3.8 sections 9.3.2 and 9.3.3, annex D; PS3.7 annex D.3.3).
const (
	itemApplicationContext = 0x10
	itemProposedContext    = 0x20
	itemContextResult      = 0x21
	itemAbstractSyntax     = 0x30
	itemTransferSyntax     = 0x40
	itemUserInformation    = 0x50
	itemMaxLength          = 0x51
	itemImplementationUID  = 0x52
	itemVersionName        = 0x55
)

// itemHeader is type(1), reserved(1), length(2).
const itemHeader = 4

// nextItem cuts the first item off b. The item's length is checked against what b really holds.
func nextItem(b []byte) (kind byte, value, rest []byte, err error) {
	if len(b) < itemHeader {
		return 0, nil, nil, fmt.Errorf("item header cut after %d bytes: %w", len(b), ErrMalformed)
	}
	length := int(binary.BigEndian.Uint16(b[2:]))
	if length > len(b)-itemHeader {
		return 0, nil, nil, fmt.Errorf("item 0x%02X claims %d bytes, %d are left: %w", b[0], length, len(b)-itemHeader, ErrMalformed)
	}
	end := itemHeader + length
	return b[0], b[itemHeader:end:end], b[end:], nil
}

// eachItem calls f for every item in b, in order, and stops at the first error.
func eachItem(b []byte, f func(kind byte, value []byte) error) error {
	for len(b) > 0 {
		kind, value, rest, err := nextItem(b)
		if err != nil {
			return err
		}
		if err := f(kind, value); err != nil {
			return fmt.Errorf("item 0x%02X: %w", kind, err)
		}
		b = rest
	}
	return nil
}

// appendItem appends an item whose value fill appends.
func appendItem(dst []byte, kind byte, fill func([]byte) ([]byte, error)) ([]byte, error) {
	start := len(dst) + itemHeader
	out, err := fill(append(dst, kind, 0, 0, 0))
	if err != nil {
		return dst, fmt.Errorf("item 0x%02X: %w", kind, err)
	}
	length := len(out) - start
	if length > math.MaxUint16 {
		return dst, fmt.Errorf("item 0x%02X of %d bytes: %w", kind, length, ErrTooLarge)
	}
	binary.BigEndian.PutUint16(out[start-2:], uint16(length))
	return out, nil
}

// appendBytesItem appends an item with the given value.
func appendBytesItem[T ~string | ~[]byte](dst []byte, kind byte, value T) ([]byte, error) {
	return appendItem(dst, kind, func(b []byte) ([]byte, error) { return append(b, value...), nil })
}

// appendUIDItem appends an item that holds one UID, unpadded (PS3.8 annex F).
func appendUIDItem(dst []byte, kind byte, uid string) ([]byte, error) {
	return appendItem(dst, kind, func(b []byte) ([]byte, error) { return append(b, uid...), checkUID(uid) })
}

// errTwice reports a second item of a kind of which PS3.8 allows one.
var errTwice = fmt.Errorf("given twice: %w", ErrMalformed)

// setUID reads a UID item into field, which must be empty so far.
func setUID(field *string, value []byte) error {
	if *field != "" {
		return errTwice
	}
	var err error
	*field, err = parseUID(value)
	return err
}
