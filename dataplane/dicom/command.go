package dicom

import (
	"encoding/binary"
	"fmt"
)

// CommandField is the kind of a DIMSE message (PS3.7 annex E.1, (0000,0100)). Responses have the
// highest bit set.
type CommandField uint16

// Command fields of C-ECHO (PS3.7 section 9.3.5).
const (
	CEchoRQ  CommandField = 0x0030
	CEchoRSP CommandField = 0x8030
)

// Command is the part of a DIMSE command set that C-ECHO uses (PS3.7 sections 9.3.5.1 and 9.3.5.2).
type Command struct {
	// SOPClass is the affected SOP class UID (0000,0002); empty if absent.
	SOPClass string
	// Field is the kind of message (0000,0100), always there.
	Field CommandField
	// MessageID is (0000,0110), of requests.
	MessageID uint16
	// RespondedTo is the request's MessageID (0000,0120), of responses.
	RespondedTo uint16
	// DataSet tells whether a data set follows ((0000,0800) is not 0101H).
	DataSet bool
	// Status is (0000,0900), of responses.
	Status Status
}

// IsResponse tells responses from requests.
func (c Command) IsResponse() bool { return c.Field&0x8000 != 0 }

// Append appends the command set in Implicit VR Little Endian, group length first; PS3.7 section
// 6.3.1 demands this transfer syntax whatever was negotiated. A response carries RespondedTo and
// Status, a request MessageID. It fails with ErrMalformed for a bad SOP class UID.
func (c Command) Append(dst []byte) ([]byte, error) {
	if c.SOPClass != "" {
		if err := checkUID(c.SOPClass); err != nil {
			return dst, err
		}
	}
	start := len(dst)
	dst = append(appendElementHeader(dst, tagGroupLength, 4), 0, 0, 0, 0)
	if c.SOPClass != "" {
		dst = appendUIDElement(dst, tagSOPClass, c.SOPClass)
	}
	dst = appendUint16Element(dst, tagCommand, uint16(c.Field))
	if c.IsResponse() {
		dst = appendUint16Element(dst, tagRespondedTo, c.RespondedTo)
	} else {
		dst = appendUint16Element(dst, tagMessageID, c.MessageID)
	}
	dataSet := uint16(noDataSet)
	if c.DataSet {
		dataSet = 1
	}
	dst = appendUint16Element(dst, tagDataSetType, dataSet)
	if c.IsResponse() {
		dst = appendUint16Element(dst, tagStatus, uint16(c.Status))
	}
	binary.LittleEndian.PutUint32(dst[start+elementHeader:], uint32(len(dst)-start-groupLengthTotal))
	return dst, nil
}

// required is a set of elements that a command set must hold.
type required uint8

const (
	hasField required = 1 << iota
	hasMessageID
	hasRespondedTo
	hasDataSetType
	hasStatus
)

// ParseCommand reads a complete command set: group length first and exact, then elements of group
// 0000 in ascending order (PS3.7 section 6.3.1). Elements that Command does not hold are skipped.
// Missing elements are an error: command field and data set type always, message ID in requests,
// the message responded to and the status in responses. C-CANCEL-RQ, which has no message ID of
// its own, is not handled.
func ParseCommand(b []byte) (Command, error) {
	first, rest, err := nextElement(b)
	if err != nil {
		return Command{}, err
	}
	if first.tag != tagGroupLength || len(first.value) != 4 || uint64(binary.LittleEndian.Uint32(first.value)) != uint64(len(rest)) {
		return Command{}, fmt.Errorf("command set starts with %v, or its group length is not %d: %w", first.tag, len(rest), ErrMalformed)
	}
	var c Command
	var have required
	for last := first.tag; len(rest) > 0; {
		var e element
		if e, rest, err = nextElement(rest); err != nil {
			return Command{}, err
		}
		if e.tag <= last || e.tag > lastCommandTag {
			return Command{}, fmt.Errorf("element %v after %v in a command set: %w", e.tag, last, ErrMalformed)
		}
		last = e.tag
		if err := c.set(e, &have); err != nil {
			return Command{}, err
		}
	}
	return c, c.check(have)
}

// set stores one element.
func (c *Command) set(e element, have *required) (err error) {
	var v uint16
	switch e.tag {
	case tagSOPClass:
		if len(e.value) > 0 {
			c.SOPClass, err = parseUID(e.value)
		}
	case tagCommand:
		v, err = e.uint16()
		c.Field, *have = CommandField(v), *have|hasField
	case tagMessageID:
		c.MessageID, err = e.uint16()
		*have |= hasMessageID
	case tagRespondedTo:
		c.RespondedTo, err = e.uint16()
		*have |= hasRespondedTo
	case tagDataSetType:
		v, err = e.uint16()
		c.DataSet, *have = v != noDataSet, *have|hasDataSetType
	case tagStatus:
		v, err = e.uint16()
		c.Status, *have = Status(v), *have|hasStatus
	}
	return err
}

// check reports elements that are missing.
func (c Command) check(have required) error {
	want := hasField | hasDataSetType | hasMessageID
	if c.IsResponse() {
		want = hasField | hasDataSetType | hasRespondedTo | hasStatus
	}
	if have&want != want {
		return fmt.Errorf("command 0x%04X lacks a required element: %w", uint16(c.Field), ErrMalformed)
	}
	return nil
}

// Status is the status of a DIMSE response (PS3.7 annex C).
type Status uint16

// StatusSuccess is the only status of a C-ECHO that succeeded (PS3.7 section 9.1.5.1.4).
const StatusSuccess Status = 0x0000

// String says in plain words what the status means for a C-ECHO, followed by its code.
func (s Status) String() string { return fmt.Sprintf("%s (status 0x%04X)", s.meaning(), uint16(s)) }

func (s Status) meaning() string {
	switch s {
	case StatusSuccess:
		return "success"
	case 0x0110:
		return "processing failure"
	case 0x0122:
		return "SOP class not supported"
	case 0x0124:
		return "not authorised"
	case 0x0210:
		return "duplicate invocation"
	case 0x0211:
		return "unrecognised operation"
	case 0x0212:
		return "mistyped argument"
	case 0x0213:
		return "resource limitation"
	default:
		return "failure"
	}
}
