package dicom

import "fmt"

// AssociateRJ is A-ASSOCIATE-RJ (PS3.8 section 9.3.4 and table 9-21).
type AssociateRJ struct {
	// Result is RejectedPermanent or RejectedTransient.
	Result byte
	// Source is who rejected, and with it the meaning of Reason.
	Source byte
	Reason byte
}

// Results and sources of A-ASSOCIATE-RJ.
const (
	RejectedPermanent = 1
	RejectedTransient = 2

	RejectedByUser         = 1
	RejectedByACSE         = 2
	RejectedByPresentation = 3
)

// Reasons of A-ASSOCIATE-RJ, each valid for the source in its name.
const (
	UserNoReason           = 1
	UserApplicationContext = 2
	UserCallingAETitle     = 3
	UserCalledAETitle      = 7

	ACSENoReason        = 1
	ACSEProtocolVersion = 2

	PresentationCongestion = 1
	PresentationLocalLimit = 2
)

var _ PDU = AssociateRJ{}

// Type returns TypeAssociateRJ.
func (AssociateRJ) Type() PDUType { return TypeAssociateRJ }

// Append appends the PDU; it cannot fail.
func (r AssociateRJ) Append(dst []byte) ([]byte, error) {
	return appendControl(dst, TypeAssociateRJ, r.Result, r.Source, r.Reason), nil
}

// Busy tells rejections of a server that works but takes no further association now:
// temporary congestion (2/3/1), local limit exceeded (2/3/2), and 2/1/2, which servers in the
// field send for the same.
func (r AssociateRJ) Busy() bool {
	switch r {
	case AssociateRJ{RejectedTransient, RejectedByPresentation, PresentationCongestion},
		AssociateRJ{RejectedTransient, RejectedByPresentation, PresentationLocalLimit},
		AssociateRJ{RejectedTransient, RejectedByUser, UserApplicationContext}:
		return true
	default:
		return false
	}
}

// Misconfigured tells rejections of an AE title (1/1/3 and 1/1/7): the server works, and nothing
// changes until somebody corrects a title here or there.
func (r AssociateRJ) Misconfigured() bool { return r.CallingRefused() || r.CalledRefused() }

// CallingRefused tells 1/1/3: the server does not know the calling AE title, or not from this address.
func (r AssociateRJ) CallingRefused() bool {
	return r == AssociateRJ{RejectedPermanent, RejectedByUser, UserCallingAETitle}
}

// CalledRefused tells 1/1/7: the server does not answer to the called AE title.
func (r AssociateRJ) CalledRefused() bool {
	return r == AssociateRJ{RejectedPermanent, RejectedByUser, UserCalledAETitle}
}

// String says in plain words what the server said, followed by the three codes.
func (r AssociateRJ) String() string {
	return fmt.Sprintf("%s%s (A-ASSOCIATE-RJ %d/%d/%d)", r.why(), r.lasting(), r.Result, r.Source, r.Reason)
}

// lasting returns the words for Result.
func (r AssociateRJ) lasting() string {
	switch r.Result {
	case RejectedPermanent:
		return ", permanently"
	case RejectedTransient:
		return ", for the moment"
	default:
		return ""
	}
}

// why returns the words for Source and Reason.
func (r AssociateRJ) why() string {
	switch [2]byte{r.Source, r.Reason} {
	case [2]byte{RejectedByUser, UserNoReason}, [2]byte{RejectedByACSE, ACSENoReason}:
		return "it gave no reason"
	case [2]byte{RejectedByUser, UserApplicationContext}:
		return "it does not support the application context"
	case [2]byte{RejectedByUser, UserCallingAETitle}:
		return "it does not recognise the calling AE title"
	case [2]byte{RejectedByUser, UserCalledAETitle}:
		return "it does not recognise the called AE title"
	case [2]byte{RejectedByACSE, ACSEProtocolVersion}:
		return "it does not support the protocol version"
	case [2]byte{RejectedByPresentation, PresentationCongestion}:
		return "it is congested"
	case [2]byte{RejectedByPresentation, PresentationLocalLimit}:
		return "it has reached its limit of associations"
	default:
		return "it gave a reason that the standard does not define"
	}
}
