package dicom

import (
	"encoding/binary"
	"fmt"
)

// PDUType is the first byte of a PDU (PS3.8 section 9.3.1).
type PDUType byte

// PDU types (PS3.8 sections 9.3.2 to 9.3.8).
const (
	TypeAssociateRQ PDUType = 1
	TypeAssociateAC PDUType = 2
	TypeAssociateRJ PDUType = 3
	TypePData       PDUType = 4
	TypeReleaseRQ   PDUType = 5
	TypeReleaseRP   PDUType = 6
	TypeAbort       PDUType = 7
)

// String returns the name that PS3.8 gives the PDU.
func (t PDUType) String() string {
	switch t {
	case TypeAssociateRQ:
		return "A-ASSOCIATE-RQ"
	case TypeAssociateAC:
		return "A-ASSOCIATE-AC"
	case TypeAssociateRJ:
		return "A-ASSOCIATE-RJ"
	case TypePData:
		return "P-DATA-TF"
	case TypeReleaseRQ:
		return "A-RELEASE-RQ"
	case TypeReleaseRP:
		return "A-RELEASE-RP"
	case TypeAbort:
		return "A-ABORT"
	default:
		return fmt.Sprintf("PDU type 0x%02X", byte(t))
	}
}

// valid tells the seven PDU types of PS3.8 from anything else.
func (t PDUType) valid() bool { return t >= TypeAssociateRQ && t <= TypeAbort }

// HeaderLength is the size of a PDU header in bytes: type, reserved, length.
const HeaderLength = 6

// Header is the start of every PDU (PS3.8 section 9.3.1).
type Header struct {
	Type PDUType
	// Length counts the bytes after the header; on the wire 4 bytes, big endian.
	Length uint32
}

// ParseHeader reads the first six bytes of b. A wrong type is reported (ErrNotDICOM) from the first
// byte on, so that a peer of another protocol is recognised by whatever it sends; ErrShort asks
// for more bytes. The length is not judged, see Check.
func ParseHeader(b []byte) (Header, error) {
	if len(b) == 0 {
		return Header{}, ErrShort
	}
	h := Header{Type: PDUType(b[0])}
	if !h.Type.valid() {
		return h, fmt.Errorf("first byte 0x%02X: %w", b[0], ErrNotDICOM)
	}
	if len(b) < HeaderLength {
		return h, ErrShort
	}
	h.Length = binary.BigEndian.Uint32(b[2:])
	return h, nil
}

// Limits bounds what a peer may send, in bytes after the PDU header. A zero field means the default.
type Limits struct {
	// Associate bounds A-ASSOCIATE-RQ and -AC. Default 1 MiB, the limit of dcmtk; 128
	// presentation contexts of a large storage client come to about 16 KiB.
	Associate uint32
	// PData bounds P-DATA-TF: the maximum length that we announced (PS3.8 annex D.1).
	// Default 16384.
	PData uint32
}

// Defaults of Limits.
const (
	DefaultAssociateLimit = 1 << 20
	DefaultMaxPDULength   = 16384
)

// withDefaults fills in the fields that are zero.
func (l Limits) withDefaults() Limits {
	if l.Associate == 0 {
		l.Associate = DefaultAssociateLimit
	}
	if l.PData == 0 {
		l.PData = DefaultMaxPDULength
	}
	return l
}

// Smallest bodies: the fixed fields of an association PDU, and one PDV without data.
const (
	associateFixed = 68
	controlLength  = 4
	minPData       = pdvOverhead
)

// Check tells whether a PDU of this type can have this length: exactly 4 for RJ, release and abort
// (PS3.8 sections 9.3.4, 9.3.6 to 9.3.8), otherwise at least the fixed fields and at most the limit.
func (h Header) Check(l Limits) error {
	l = l.withDefaults()
	least, most := uint32(controlLength), uint32(controlLength)
	switch h.Type {
	case TypeAssociateRQ, TypeAssociateAC:
		least, most = associateFixed, l.Associate
	case TypePData:
		least, most = minPData, l.PData
	}
	if h.Length < least || (h.Length > most && most == controlLength) {
		return fmt.Errorf("%v with length %d: %w", h.Type, h.Length, ErrMalformed)
	}
	if h.Length > most {
		return fmt.Errorf("%v with length %d, at most %d allowed: %w", h.Type, h.Length, most, ErrTooLarge)
	}
	return nil
}

// PDU is one protocol data unit: *AssociateRQ, *AssociateAC, AssociateRJ, PData, ReleaseRQ,
// ReleaseRP or Abort.
type PDU interface {
	// Type returns the PDU's type byte.
	Type() PDUType
	// Append appends the whole PDU, header included, to dst. On error it returns dst as it was.
	Append(dst []byte) ([]byte, error)
}

// ParsePDU reads the one PDU that raw holds, header included; raw must end where the PDU ends.
// It checks the header as Header.Check does. The fragments of a PData alias raw, all else is copied.
func ParsePDU(raw []byte, l Limits) (PDU, error) {
	h, err := ParseHeader(raw)
	if err != nil {
		return nil, err
	}
	if err := h.Check(l); err != nil {
		return nil, err
	}
	body := raw[HeaderLength:]
	if uint64(len(body)) < uint64(h.Length) {
		return nil, fmt.Errorf("%v: %w", h.Type, ErrShort)
	}
	if uint64(len(body)) > uint64(h.Length) {
		return nil, fmt.Errorf("%v: %d bytes after its end: %w", h.Type, uint64(len(body))-uint64(h.Length), ErrMalformed)
	}
	pdu, err := parseBody(h.Type, body)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", h.Type, err)
	}
	return pdu, nil
}

// parseBody reads a body whose length Header.Check has accepted.
func parseBody(t PDUType, body []byte) (PDU, error) {
	switch t {
	case TypeAssociateRQ:
		return parseAssociateRQ(body)
	case TypeAssociateAC:
		return parseAssociateAC(body)
	case TypeAssociateRJ:
		return AssociateRJ{Result: body[1], Source: body[2], Reason: body[3]}, nil
	case TypePData:
		return parsePData(body)
	case TypeReleaseRQ:
		return ReleaseRQ{}, nil
	case TypeReleaseRP:
		return ReleaseRP{}, nil
	default:
		return Abort{Source: body[2], Reason: body[3]}, nil
	}
}

// appendControl appends one of the PDUs that have four bytes after the header.
func appendControl(dst []byte, t PDUType, b1, b2, b3 byte) []byte {
	return append(dst, byte(t), 0, 0, 0, 0, controlLength, 0, b1, b2, b3)
}
