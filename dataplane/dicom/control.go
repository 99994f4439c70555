package dicom

import "fmt"

// ReleaseRQ is A-RELEASE-RQ (PS3.8 section 9.3.6): the sender is finished in good order.
type ReleaseRQ struct{}

// ReleaseRP is A-RELEASE-RP (PS3.8 section 9.3.7): the answer; the connection may be closed.
type ReleaseRP struct{}

// Abort is A-ABORT (PS3.8 section 9.3.8).
type Abort struct {
	// Source is AbortByUser or AbortByProvider.
	Source byte
	// Reason is one of the Abort... reasons; it means something only if Source is AbortByProvider.
	Reason byte
}

// Sources and reasons of A-ABORT (PS3.8 table 9-26).
const (
	AbortByUser     = 0
	AbortByProvider = 2

	AbortNoReason         = 0
	AbortUnrecognizedPDU  = 1
	AbortUnexpectedPDU    = 2
	AbortUnrecognizedPar  = 4
	AbortUnexpectedPar    = 5
	AbortInvalidParameter = 6
)

var (
	_ PDU = ReleaseRQ{}
	_ PDU = ReleaseRP{}
	_ PDU = Abort{}
)

// Type returns TypeReleaseRQ.
func (ReleaseRQ) Type() PDUType { return TypeReleaseRQ }

// Append appends the PDU; it cannot fail.
func (ReleaseRQ) Append(dst []byte) ([]byte, error) {
	return appendControl(dst, TypeReleaseRQ, 0, 0, 0), nil
}

// Type returns TypeReleaseRP.
func (ReleaseRP) Type() PDUType { return TypeReleaseRP }

// Append appends the PDU; it cannot fail.
func (ReleaseRP) Append(dst []byte) ([]byte, error) {
	return appendControl(dst, TypeReleaseRP, 0, 0, 0), nil
}

// Type returns TypeAbort.
func (Abort) Type() PDUType { return TypeAbort }

// Append appends the PDU; it cannot fail.
func (a Abort) Append(dst []byte) ([]byte, error) {
	return appendControl(dst, TypeAbort, 0, a.Source, a.Reason), nil
}

// String says in plain words who aborted and why, followed by the two codes.
func (a Abort) String() string {
	if a.Source != AbortByProvider {
		return fmt.Sprintf("the application aborted without giving a reason (A-ABORT %d/%d)", a.Source, a.Reason)
	}
	return fmt.Sprintf("the DICOM protocol layer aborted: %s (A-ABORT %d/%d)", a.why(), a.Source, a.Reason)
}

// why returns the words for a provider's reason.
func (a Abort) why() string {
	switch a.Reason {
	case AbortNoReason:
		return "no reason given"
	case AbortUnrecognizedPDU:
		return "it did not recognise a PDU"
	case AbortUnexpectedPDU:
		return "it did not expect this PDU at this point"
	case AbortUnrecognizedPar:
		return "it did not recognise a parameter"
	case AbortUnexpectedPar:
		return "it did not expect a parameter"
	case AbortInvalidParameter:
		return "a parameter had an invalid value"
	default:
		return "a reason that the standard does not define"
	}
}
