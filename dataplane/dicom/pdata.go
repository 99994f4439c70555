package dicom

import (
	"encoding/binary"
	"fmt"
)

// PData is P-DATA-TF (PS3.8 section 9.3.5): one or more PDVs.
type PData struct {
	PDVs []PDV
}

// PDV is a presentation data value: one fragment of a message (PS3.8 section 9.3.5.1, annex E.2).
type PDV struct {
	// ContextID is the presentation context, odd.
	ContextID byte
	// Command tells a fragment of a command set from one of a data set.
	Command bool
	// Last marks the last fragment of the command set or data set.
	Last bool
	// Data is the fragment. Data sets hold patient data: never log it.
	Data []byte
}

// Sizes and bits of a PDV: length(4), context ID(1), message control header(1).
const (
	pdvLength      = 4
	pdvControl     = 2
	pdvOverhead    = pdvLength + pdvControl
	controlCommand = 1
	controlLast    = 2
)

var _ PDU = PData{}

// Type returns TypePData.
func (PData) Type() PDUType { return TypePData }

// NextPDV cuts the first PDV off the body of a P-DATA-TF and returns what follows it. The PDV's data
// aliases body. It allocates nothing, so that a relay can look at every PDV that passes.
func NextPDV(body []byte) (PDV, []byte, error) {
	if len(body) < pdvOverhead {
		return PDV{}, nil, fmt.Errorf("PDV header cut after %d bytes: %w", len(body), ErrMalformed)
	}
	length := binary.BigEndian.Uint32(body)
	if length < pdvControl || uint64(length) > uint64(len(body)-pdvLength) {
		return PDV{}, nil, fmt.Errorf("PDV claims %d bytes, 2 to %d possible: %w", length, len(body)-pdvLength, ErrMalformed)
	}
	if body[4]%2 == 0 {
		return PDV{}, nil, fmt.Errorf("PDV with even presentation context ID %d: %w", body[4], ErrMalformed)
	}
	end := pdvLength + int(length)
	pdv := PDV{
		ContextID: body[4],
		Command:   body[5]&controlCommand != 0,
		Last:      body[5]&controlLast != 0,
		Data:      body[pdvOverhead:end:end],
	}
	return pdv, body[end:], nil
}

// parsePData reads a body that holds at least one PDV.
func parsePData(body []byte) (PData, error) {
	var p PData
	for len(body) > 0 {
		pdv, rest, err := NextPDV(body)
		if err != nil {
			return PData{}, err
		}
		p.PDVs = append(p.PDVs, pdv)
		body = rest
	}
	return p, nil
}

// Append appends the PDU. It fails with ErrMalformed for no PDV or an even context ID, and with
// ErrTooLarge if the lengths do not fit 32 bits. The peer's maximum length is the caller's concern.
func (p PData) Append(dst []byte) ([]byte, error) {
	if len(p.PDVs) == 0 {
		return dst, fmt.Errorf("P-DATA-TF without PDV: %w", ErrMalformed)
	}
	total := uint64(0)
	for _, v := range p.PDVs {
		if v.ContextID%2 == 0 {
			return dst, fmt.Errorf("P-DATA-TF with even presentation context ID %d: %w", v.ContextID, ErrMalformed)
		}
		total += pdvOverhead + uint64(len(v.Data))
	}
	if total > uint64(^uint32(0)) {
		return dst, fmt.Errorf("P-DATA-TF of %d bytes: %w", total, ErrTooLarge)
	}
	dst = binary.BigEndian.AppendUint32(append(dst, byte(TypePData), 0), uint32(total))
	for _, v := range p.PDVs {
		dst = v.append(dst)
	}
	return dst, nil
}

func (v PDV) append(dst []byte) []byte {
	var control byte
	if v.Command {
		control |= controlCommand
	}
	if v.Last {
		control |= controlLast
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(pdvControl+len(v.Data)))
	return append(append(dst, v.ContextID, control), v.Data...)
}
