package dicom

import "fmt"

// Stage is how far a C-ECHO had come.
type Stage int

// Stages of a C-ECHO, in order.
const (
	// StageAssociation: the request was made, the server has not accepted it.
	StageAssociation Stage = iota
	// StageEcho: the association stands, the C-ECHO response has not come.
	StageEcho
	// StageRelease: the outcome is known; what is left is to part in good order.
	StageRelease
	// StageDone: nothing is left; close the connection.
	StageDone
)

// String completes the sentence "while ...".
func (s Stage) String() string {
	switch s {
	case StageAssociation:
		return "waiting for the association to be accepted"
	case StageEcho:
		return "waiting for the answer to C-ECHO"
	case StageRelease:
		return "releasing the association"
	default:
		return "finished"
	}
}

// Outcome is how a C-ECHO ended: Succeeded, Rejected, ContextRefused, StatusFailure, Aborted,
// Disconnected or ProtocolError. String says so in plain words.
type Outcome interface {
	fmt.Stringer
	outcome()
}

// Succeeded means that the association was accepted and C-ECHO answered with status 0000H.
type Succeeded struct{}

// Rejected means that the server answered with A-ASSOCIATE-RJ. See its methods Busy and Misconfigured.
type Rejected struct{ AssociateRJ }

// ContextRefused means that the association was accepted without the Verification service.
type ContextRefused struct{ Answer ContextAnswer }

// StatusFailure means that C-ECHO was answered with a status other than 0000H.
type StatusFailure struct{ Status Status }

// Aborted means that the server sent A-ABORT. In StageEcho it had accepted the association first.
type Aborted struct {
	Stage Stage
	Abort Abort
}

// Disconnected means that the connection ended before the outcome was known.
type Disconnected struct{ Stage Stage }

// ProtocolError means that the server broke the protocol, or speaks another one.
type ProtocolError struct {
	Stage Stage
	// Err says what was wrong: one of this package's errors, wrapped.
	Err error
}

var (
	_ Outcome = Succeeded{}
	_ Outcome = Rejected{}
	_ Outcome = ContextRefused{}
	_ Outcome = StatusFailure{}
	_ Outcome = Aborted{}
	_ Outcome = Disconnected{}
	_ Outcome = ProtocolError{}
	_ error   = ProtocolError{}
)

func (Succeeded) outcome()      {}
func (Rejected) outcome()       {}
func (ContextRefused) outcome() {}
func (StatusFailure) outcome()  {}
func (Aborted) outcome()        {}
func (Disconnected) outcome()   {}
func (ProtocolError) outcome()  {}

// String implements Outcome.
func (Succeeded) String() string { return "C-ECHO succeeded" }

// String implements Outcome.
func (r Rejected) String() string {
	return "the server rejected the association: " + r.AssociateRJ.String()
}

// String implements Outcome.
func (c ContextRefused) String() string {
	return fmt.Sprintf("the server accepted the association but not the Verification service: %v", c.Answer)
}

// String implements Outcome.
func (s StatusFailure) String() string { return fmt.Sprintf("C-ECHO was answered with %v", s.Status) }

// String implements Outcome.
func (a Aborted) String() string {
	if a.Stage == StageAssociation {
		return "the server aborted the association request: " + a.Abort.String()
	}
	return "the server accepted the association and aborted it at C-ECHO: " + a.Abort.String()
}

// String implements Outcome.
func (d Disconnected) String() string {
	return fmt.Sprintf("the server closed the connection while we were %v", d.Stage)
}

// String implements Outcome.
func (p ProtocolError) String() string {
	return fmt.Sprintf("the server broke the DICOM protocol while we were %v: %v", p.Stage, p.Err)
}

// Error is String.
func (p ProtocolError) Error() string { return p.String() }

// Unwrap returns Err.
func (p ProtocolError) Unwrap() error { return p.Err }
