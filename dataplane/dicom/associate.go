package dicom

import (
	"encoding/binary"
	"fmt"
)

// ProtocolVersion1 is the only version there is; PS3.8 tests bit 0 alone.
const ProtocolVersion1 = 1

// maxContexts is how many odd context IDs a byte holds (PS3.8 section 9.3.2.2).
const maxContexts = 128

// AssociateRQ is A-ASSOCIATE-RQ (PS3.8 section 9.3.2).
type AssociateRQ struct {
	// ProtocolVersion is a bit field; ProtocolVersion1 must be set in it.
	ProtocolVersion uint16
	CalledAE        AEField
	CallingAE       AEField
	// ApplicationContext is ApplicationContextUID in every DICOM association.
	ApplicationContext string
	// Contexts are the proposed presentation contexts, 1 to 128, each ID once.
	Contexts []ProposedContext
	User     UserInformation
}

// ProposedContext is a presentation context item of a request (PS3.8 section 9.3.2.2).
type ProposedContext struct {
	// ID is odd, 1 to 255.
	ID             byte
	AbstractSyntax string
	// TransferSyntaxes are those that the requestor offers, at least one.
	TransferSyntaxes []string
}

// AssociateAC is A-ASSOCIATE-AC (PS3.8 section 9.3.3).
type AssociateAC struct {
	ProtocolVersion uint16
	// CalledAE and CallingAE repeat the request's fields and are never to be tested.
	CalledAE           AEField
	CallingAE          AEField
	ApplicationContext string
	// Contexts answer the request's presentation contexts, 1 to 128, each ID once.
	Contexts []ContextResult
	User     UserInformation
}

// ContextResult is a presentation context item of an acceptance (PS3.8 section 9.3.3.2).
type ContextResult struct {
	// ID is the ID in the request.
	ID     byte
	Result ContextAnswer
	// TransferSyntax is the chosen one if Result is ContextAccepted, else empty.
	TransferSyntax string
}

// ContextAnswer is the result field of a presentation context (PS3.8 table 9-18).
type ContextAnswer byte

// Answers to a presentation context.
const (
	ContextAccepted         ContextAnswer = 0
	ContextUserRejection    ContextAnswer = 1
	ContextNoReason         ContextAnswer = 2
	ContextAbstractSyntax   ContextAnswer = 3
	ContextTransferSyntaxes ContextAnswer = 4
)

// String says in plain words what was answered.
func (a ContextAnswer) String() string {
	switch a {
	case ContextAccepted:
		return "accepted"
	case ContextUserRejection:
		return "rejected by the application"
	case ContextNoReason:
		return "rejected without a reason"
	case ContextAbstractSyntax:
		return "service (abstract syntax) not supported"
	case ContextTransferSyntaxes:
		return "none of the transfer syntaxes supported"
	default:
		return fmt.Sprintf("answer %d, which the standard does not define", byte(a))
	}
}

// Context returns the answer to the presentation context with this ID.
func (ac *AssociateAC) Context(id byte) (ContextResult, bool) {
	for _, c := range ac.Contexts {
		if c.ID == id {
			return c, true
		}
	}
	return ContextResult{}, false
}

var (
	_ PDU = (*AssociateRQ)(nil)
	_ PDU = (*AssociateAC)(nil)
)

// Type returns TypeAssociateRQ.
func (*AssociateRQ) Type() PDUType { return TypeAssociateRQ }

// Type returns TypeAssociateAC.
func (*AssociateAC) Type() PDUType { return TypeAssociateAC }

// Append appends the PDU. It fails with ErrMalformed for values that ParsePDU would refuse and with
// ErrTooLarge for an item that does not fit its length field.
func (rq *AssociateRQ) Append(dst []byte) ([]byte, error) {
	if err := checkContextIDs(rq.Contexts, func(c ProposedContext) byte { return c.ID }); err != nil {
		return dst, err
	}
	return appendAssociate(dst, TypeAssociateRQ, rq.fixed(), rq.ApplicationContext, func(b []byte) (_ []byte, err error) {
		for _, c := range rq.Contexts {
			if b, err = c.append(b); err != nil {
				return b, err
			}
		}
		return rq.User.append(b)
	})
}

// Append appends the PDU. It fails like AssociateRQ.Append.
func (ac *AssociateAC) Append(dst []byte) ([]byte, error) {
	if err := checkContextIDs(ac.Contexts, func(c ContextResult) byte { return c.ID }); err != nil {
		return dst, err
	}
	return appendAssociate(dst, TypeAssociateAC, ac.fixed(), ac.ApplicationContext, func(b []byte) (_ []byte, err error) {
		for _, c := range ac.Contexts {
			if b, err = c.append(b); err != nil {
				return b, err
			}
		}
		return ac.User.append(b)
	})
}

// fixedFields are the fields that stand before the items in both association PDUs.
type fixedFields struct {
	version         uint16
	called, calling AEField
}

func (rq *AssociateRQ) fixed() fixedFields {
	return fixedFields{rq.ProtocolVersion, rq.CalledAE, rq.CallingAE}
}

func (ac *AssociateAC) fixed() fixedFields {
	return fixedFields{ac.ProtocolVersion, ac.CalledAE, ac.CallingAE}
}

// appendAssociate appends header, fixed fields, application context and what items appends.
func appendAssociate(dst []byte, t PDUType, f fixedFields, context string, items func([]byte) ([]byte, error)) ([]byte, error) {
	start := len(dst) + HeaderLength
	out := append(dst, byte(t), 0, 0, 0, 0, 0) //nolint:gocritic // an append function returns another slice
	out = binary.BigEndian.AppendUint16(out, f.version)
	out = append(out, 0, 0)
	out = append(out, f.called[:]...)
	out = append(out, f.calling[:]...)
	out = append(out, make([]byte, associateFixed-4-2*aeLength)...)
	out, err := appendUIDItem(out, itemApplicationContext, context)
	if err == nil {
		out, err = items(out)
	}
	if err != nil {
		return dst, fmt.Errorf("%v: %w", t, err)
	}
	binary.BigEndian.PutUint32(out[start-4:], uint32(len(out)-start))
	return out, nil
}

func (c ProposedContext) append(dst []byte) ([]byte, error) {
	if len(c.TransferSyntaxes) == 0 {
		return dst, fmt.Errorf("presentation context %d without transfer syntax: %w", c.ID, ErrMalformed)
	}
	return appendItem(dst, itemProposedContext, func(b []byte) ([]byte, error) {
		b, err := appendUIDItem(append(b, c.ID, 0, 0, 0), itemAbstractSyntax, c.AbstractSyntax)
		for _, syntax := range c.TransferSyntaxes {
			if err == nil {
				b, err = appendUIDItem(b, itemTransferSyntax, syntax)
			}
		}
		return b, err
	})
}

func (c ContextResult) append(dst []byte) ([]byte, error) {
	return appendItem(dst, itemContextResult, func(b []byte) ([]byte, error) {
		b = append(b, c.ID, 0, byte(c.Result), 0)
		if c.Result != ContextAccepted {
			return b, nil
		}
		return appendUIDItem(b, itemTransferSyntax, c.TransferSyntax)
	})
}
