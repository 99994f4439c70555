package dicom

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// UserInformation is the user information item (PS3.8 section 9.3.2.3 and annex D, PS3.7 annex D.3.3).
type UserInformation struct {
	// MaxPDULength is the longest P-DATA-TF body that the sender of this item takes, in bytes;
	// 0 means no limit (PS3.8 annex D.1). Sub-item 0x51; absent counts as 0.
	MaxPDULength uint32
	// ImplementationClassUID is sub-item 0x52; empty if absent.
	ImplementationClassUID string
	// ImplementationVersionName is sub-item 0x55, printable ASCII; empty if absent.
	ImplementationVersionName string
	// Other are the remaining sub-items in order, among them role selection (0x54) and extended
	// negotiation (0x56).
	Other []UserItem
}

// UserItem is a user information sub-item that this package does not interpret.
type UserItem struct {
	Type byte
	// Data may hold credentials (0x58, user identity): never log it.
	Data []byte
}

// String returns type and size, and on purpose none of the data.
func (i UserItem) String() string { return fmt.Sprintf("item 0x%02X of %d bytes", i.Type, len(i.Data)) }

// GoString is String, so that %#v shows no credentials either.
func (i UserItem) GoString() string { return i.String() }

// maxVersionName bounds sub-item 0x55. PS3.7 annex D.3.3.2 allows 16 bytes; longer ones exist.
const maxVersionName = 64

// parseOnce parses the item unless done was already set, which it sets.
func (u *UserInformation) parseOnce(done *bool, value []byte) error {
	if *done {
		return errTwice
	}
	*done = true
	var seen [256]bool
	return eachItem(value, func(kind byte, value []byte) error {
		once := kind == itemMaxLength || kind == itemImplementationUID || kind == itemVersionName
		if once && seen[kind] {
			return errTwice
		}
		seen[kind] = true
		return u.parseItem(kind, value)
	})
}

func (u *UserInformation) parseItem(kind byte, value []byte) (err error) {
	switch kind {
	case itemMaxLength:
		if len(value) != 4 {
			return fmt.Errorf("%d bytes, want 4: %w", len(value), ErrMalformed)
		}
		u.MaxPDULength = binary.BigEndian.Uint32(value)
	case itemImplementationUID:
		u.ImplementationClassUID, err = parseUID(value)
	case itemVersionName:
		if len(value) > maxVersionName {
			return fmt.Errorf("%d bytes, at most %d: %w", len(value), maxVersionName, ErrMalformed)
		}
		u.ImplementationVersionName = printable(bytes.Trim(value, " \x00"))
	default:
		u.Other = append(u.Other, UserItem{Type: kind, Data: bytes.Clone(value)})
	}
	return err
}

func (u UserInformation) append(dst []byte) ([]byte, error) {
	return appendItem(dst, itemUserInformation, func(b []byte) ([]byte, error) {
		b = append(b, itemMaxLength, 0, 0, 4)
		b = binary.BigEndian.AppendUint32(b, u.MaxPDULength)
		var err error
		if u.ImplementationClassUID != "" {
			if b, err = appendUIDItem(b, itemImplementationUID, u.ImplementationClassUID); err != nil {
				return b, err
			}
		}
		if b, err = u.appendVersionName(b); err != nil {
			return b, err
		}
		for _, item := range u.Other {
			if b, err = appendBytesItem(b, item.Type, item.Data); err != nil {
				return b, err
			}
		}
		return b, nil
	})
}

func (u UserInformation) appendVersionName(dst []byte) ([]byte, error) {
	if u.ImplementationVersionName == "" {
		return dst, nil
	}
	if n := len(u.ImplementationVersionName); n > maxVersionName {
		return dst, fmt.Errorf("version name of %d bytes: %w", n, ErrMalformed)
	}
	return appendBytesItem(dst, itemVersionName, u.ImplementationVersionName)
}
