package dicom

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// EchoConfig is what an EchoRequestor offers and asks.
type EchoConfig struct {
	// CalledAETitle is the server's AE title, 1 to 16 characters, see ParseAETitle.
	CalledAETitle string
	// CallingAETitle is our own AE title.
	CallingAETitle string
	// MaxPDULength is the longest P-DATA-TF body we take, in bytes. 0 means 16384; the value 0
	// is never announced, because some devices refuse it. At least 128.
	MaxPDULength uint32
	// MessageID is the message ID of the C-ECHO-RQ; 0 means 1.
	MessageID uint16
}

// Bounds and constants of an echo association.
const (
	echoContextID      = 1
	echoAssociateLimit = 64 << 10
	leastMaxPDULength  = 128
)

// EchoRequestor is the requestor of one C-ECHO (PS3.4 annex A, PS3.7 section 9.1.5; association by
// PS3.8 section 9.2) without a socket. Drive it like this until Done:
//
//	write Output() to the connection; read; Feed() what was read, or PeerClosed() at the end.
//
// Outcome is known before the association is released: a server that answers and then bungles the
// release has passed. It is not safe for concurrent use.
type EchoRequestor struct {
	plan    *EchoPlan
	dec     Decoder
	out     []byte // what is to be said, in said or the plan's
	said    []byte
	command []byte
	stage   Stage
	outcome Outcome
	heard   heard
	// collided is set once both sides have asked for release.
	collided bool
}

// EchoPlan is a C-ECHO that is asked again and again: what is sent is encoded once. It is safe for
// concurrent use.
type EchoPlan struct {
	cfg                          EchoConfig
	associate, question, release []byte // the A-ASSOCIATE-RQ, the P-DATA-TF with the C-ECHO-RQ, the A-RELEASE-RQ
	asks                         uint32 // the maximum PDU length that question needs
}

// NewEchoPlan checks cfg. The error names the field that is wrong and wraps ErrInvalidAETitle or
// ErrMalformed.
func NewEchoPlan(cfg EchoConfig) (*EchoPlan, error) {
	called, err := ParseAETitle(cfg.CalledAETitle)
	if err != nil {
		return nil, fmt.Errorf("calledAETitle: %w", err)
	}
	calling, err := ParseAETitle(cfg.CallingAETitle)
	if err != nil {
		return nil, fmt.Errorf("callingAETitle: %w", err)
	}
	if cfg.MaxPDULength == 0 {
		cfg.MaxPDULength = DefaultMaxPDULength
	}
	if cfg.MaxPDULength < leastMaxPDULength {
		return nil, fmt.Errorf("maximum PDU length %d, at least %d: %w", cfg.MaxPDULength, leastMaxPDULength, ErrMalformed)
	}
	if cfg.MessageID == 0 {
		cfg.MessageID = 1
	}
	p := &EchoPlan{cfg: cfg}
	if p.associate, err = echoRequest(called, calling, cfg.MaxPDULength).Append(nil); err != nil {
		return nil, err
	}
	set, err := Command{SOPClass: VerificationUID, Field: CEchoRQ, MessageID: cfg.MessageID}.Append(nil)
	if err != nil {
		return nil, err
	}
	p.asks = uint32(pdvOverhead + len(set))
	if p.question, err = (PData{PDVs: []PDV{{ContextID: echoContextID, Command: true, Last: true, Data: set}}}).Append(nil); err != nil {
		return nil, err
	}
	p.release, err = ReleaseRQ{}.Append(nil)
	return p, err
}

// Requestor returns a requestor whose Output holds the A-ASSOCIATE-RQ.
func (p *EchoPlan) Requestor() *EchoRequestor {
	return &EchoRequestor{
		plan: p, out: slices.Clip(p.associate),
		dec: Decoder{limits: Limits{Associate: echoAssociateLimit, PData: p.cfg.MaxPDULength}.withDefaults()},
	}
}

// Again makes r, which is one of this plan's, like a new one. It keeps its memory; what its Output returned before is
// valid no more.
func (p *EchoPlan) Again(r *EchoRequestor) {
	r.dec.reset()
	*r = EchoRequestor{plan: p, out: slices.Clip(p.associate), dec: r.dec, said: r.said[:0], command: r.command[:0], heard: r.heard}
}

// NewEchoRequestor is NewEchoPlan and its Requestor.
func NewEchoRequestor(cfg EchoConfig) (*EchoRequestor, error) {
	p, err := NewEchoPlan(cfg)
	if err != nil {
		return nil, err
	}
	return p.Requestor(), nil
}

// echoRequest is an association request for the Verification service alone.
func echoRequest(called, calling AETitle, maxPDULength uint32) *AssociateRQ {
	return &AssociateRQ{
		ProtocolVersion:    ProtocolVersion1,
		CalledAE:           called.Field(),
		CallingAE:          calling.Field(),
		ApplicationContext: ApplicationContextUID,
		Contexts: []ProposedContext{{
			ID:               echoContextID,
			AbstractSyntax:   VerificationUID,
			TransferSyntaxes: []string{ImplicitVRLittleEndianUID, ExplicitVRLittleEndianUID},
		}},
		User: UserInformation{
			MaxPDULength:              maxPDULength,
			ImplementationClassUID:    ImplementationClassUID,
			ImplementationVersionName: ImplementationVersionName,
		},
	}
}

// Output returns the bytes to write and forgets them. They are valid until the next call of Feed,
// PeerClosed or Abort; nil means that there is nothing to write.
func (r *EchoRequestor) Output() []byte {
	out := r.out
	r.out = nil
	return out
}

// Outcome returns how the C-ECHO ended, nil while that is open. It never changes once it is set.
func (r *EchoRequestor) Outcome() Outcome { return r.outcome }

// Stage returns how far the C-ECHO has come.
func (r *EchoRequestor) Stage() Stage { return r.stage }

// Done tells whether the connection can be closed, after Output has been written.
func (r *EchoRequestor) Done() bool { return r.stage == StageDone }

// heard is what a server has answered in good order. The same bytes mean the same, and need not be read again.
type heard struct {
	accepted  []byte // an A-ASSOCIATE-AC
	succeeded []byte // the P-DATA-TF of a C-ECHO-RSP
}

// knows acts on p if it is what the server has answered at this stage before.
func (r *EchoRequestor) knows(p []byte) bool {
	switch {
	case r.dec.Buffered() > 0 || len(r.command) > 0:
		return false
	case r.stage == StageAssociation && bytes.Equal(p, r.heard.accepted):
		r.question()
	case r.stage == StageEcho && bytes.Equal(p, r.heard.succeeded):
		r.outcome = Succeeded{}
		r.release()
	default:
		return false
	}
	return true
}

// Feed takes received bytes, which it copies. After Done it ignores them.
func (r *EchoRequestor) Feed(p []byte) {
	if len(p) == 0 || r.Done() || r.knows(p) {
		return
	}
	whole, before := r.dec.Buffered() == 0 && len(r.command) == 0, r.stage
	r.read(p)
	whole = whole && r.dec.Buffered() == 0
	switch {
	case whole && before == StageAssociation && r.stage == StageEcho && len(r.command) == 0:
		r.heard.accepted = append(r.heard.accepted[:0], p...)
	case whole && before == StageEcho && r.stage == StageRelease && !r.collided && r.outcome == Succeeded{}:
		r.heard.succeeded = append(r.heard.succeeded[:0], p...)
	}
}

// read takes received bytes PDU by PDU.
func (r *EchoRequestor) read(p []byte) {
	r.dec.Feed(p)
	for !r.Done() {
		pdu, err := r.dec.Next()
		if err != nil {
			r.fail(err)
			return
		}
		if pdu == nil {
			return
		}
		r.receive(pdu)
	}
}

// PeerClosed says that the server has ended the connection.
func (r *EchoRequestor) PeerClosed() {
	r.finish(Disconnected{Stage: r.stage})
}

// Abort gives up: Output then holds an A-ABORT unless the association is already over. The outcome
// stays as it was, nil included: why the caller gave up is the caller's to say.
func (r *EchoRequestor) Abort() {
	if r.Done() {
		return
	}
	r.stage = StageDone
	r.send(Abort{Source: AbortByUser})
}

// receive acts on one PDU (the requestor's rows of PS3.8 table 9-10).
func (r *EchoRequestor) receive(pdu PDU) {
	switch pdu := pdu.(type) {
	case Abort:
		r.finish(Aborted{Stage: r.stage, Abort: pdu})
	case *AssociateAC:
		r.accepted(pdu)
	case AssociateRJ:
		if r.stage != StageAssociation {
			r.unexpected(pdu)
			return
		}
		r.finish(Rejected{pdu})
	case PData:
		r.data(pdu)
	case ReleaseRQ:
		r.releaseAsked()
	case ReleaseRP:
		if r.stage != StageRelease {
			r.unexpected(pdu)
			return
		}
		r.stage = StageDone
	default:
		r.unexpected(pdu)
	}
}

// accepted answers A-ASSOCIATE-AC with the C-ECHO-RQ, or with a release if the service was refused.
func (r *EchoRequestor) accepted(ac *AssociateAC) {
	if r.stage != StageAssociation {
		r.unexpected(ac)
		return
	}
	answer, ok := ac.Context(echoContextID)
	switch {
	case !ok:
		r.fail(fmt.Errorf("A-ASSOCIATE-AC does not answer presentation context %d: %w", echoContextID, ErrMalformed))
	case answer.Result != ContextAccepted:
		r.outcome = ContextRefused{Answer: answer.Result}
		r.release()
	case answer.TransferSyntax != ImplicitVRLittleEndianUID && answer.TransferSyntax != ExplicitVRLittleEndianUID:
		r.fail(fmt.Errorf("A-ASSOCIATE-AC chose transfer syntax %s, which was not offered: %w", answer.TransferSyntax, ErrMalformed))
	default:
		r.ask(ac.User.MaxPDULength)
	}
}

// ask sends the C-ECHO-RQ in one fragment.
func (r *EchoRequestor) ask(maxPDULength uint32) {
	if maxPDULength != 0 && maxPDULength < r.plan.asks {
		r.fail(fmt.Errorf("its maximum PDU length %d has no room for a C-ECHO: %w", maxPDULength, ErrMalformed))
		return
	}
	r.question()
}

// question asks; there is room for it.
func (r *EchoRequestor) question() {
	r.stage = StageEcho
	r.say(r.plan.question)
}

// data collects the fragments of the response. While the association is being released, data that
// was already under way is dropped.
func (r *EchoRequestor) data(p PData) {
	if r.stage == StageRelease {
		return
	}
	if r.stage != StageEcho {
		r.unexpected(p)
		return
	}
	for i, v := range p.PDVs {
		if v.ContextID != echoContextID || !v.Command || len(r.command)+len(v.Data) > int(r.plan.cfg.MaxPDULength) {
			r.fail(fmt.Errorf("C-ECHO answered with a data set, on another context, or too long: %w", ErrMalformed))
			return
		}
		r.command = append(r.command, v.Data...)
		if v.Last {
			r.answered(len(p.PDVs) - i - 1)
			return
		}
	}
}

// answered judges the complete response; trailing counts PDVs that came after its last fragment.
func (r *EchoRequestor) answered(trailing int) {
	c, err := ParseCommand(r.command)
	switch {
	case err != nil:
		r.fail(err)
	case c.Field != CEchoRSP || c.RespondedTo != r.plan.cfg.MessageID || c.DataSet || trailing > 0:
		r.fail(fmt.Errorf("expected C-ECHO-RSP to message %d alone, got command 0x%04X to message %d: %w",
			r.plan.cfg.MessageID, uint16(c.Field), c.RespondedTo, ErrMalformed))
	case c.Status != StatusSuccess:
		r.outcome = StatusFailure{Status: c.Status}
		r.release()
	default:
		r.outcome = Succeeded{}
		r.release()
	}
}

// release parts in good order.
func (r *EchoRequestor) release() {
	r.stage = StageRelease
	r.say(r.plan.release)
}

// releaseAsked answers the server's own A-RELEASE-RQ: before the echo it ends the association; at
// the same time as ours the requestor answers first and waits on (PS3.8 section 7.2.2, Sta9, Sta11).
func (r *EchoRequestor) releaseAsked() {
	switch {
	case r.stage == StageEcho:
		r.send(ReleaseRP{})
		r.finish(ProtocolError{Stage: StageEcho, Err: fmt.Errorf("it released the association instead of answering: %w", ErrMalformed)})
	case r.stage == StageRelease && !r.collided:
		r.collided = true
		r.send(ReleaseRP{})
	default:
		r.unexpected(ReleaseRQ{})
	}
}

// unexpected aborts because of a PDU that has no place in this stage.
func (r *EchoRequestor) unexpected(pdu PDU) {
	r.abort(AbortUnexpectedPDU, fmt.Errorf("unexpected %v: %w", pdu.Type(), ErrMalformed))
}

// fail aborts because of bytes that are wrong in themselves.
func (r *EchoRequestor) fail(err error) {
	reason := byte(AbortInvalidParameter)
	if errors.Is(err, ErrNotDICOM) {
		reason = AbortUnrecognizedPDU
	}
	r.abort(reason, err)
}

func (r *EchoRequestor) abort(reason byte, err error) {
	r.send(Abort{Source: AbortByProvider, Reason: reason})
	r.finish(ProtocolError{Stage: r.stage, Err: err})
}

// finish ends the requestor; an outcome that is already known stands.
func (r *EchoRequestor) finish(o Outcome) {
	if r.outcome == nil {
		r.outcome = o
	}
	r.stage = StageDone
}

// send appends a PDU to the output. All PDUs sent here are made from checked values, so that
// encoding cannot fail; were it to, nothing is sent and the server's silence decides.
func (r *EchoRequestor) send(pdu PDU) {
	if encoded, err := pdu.Append(nil); err == nil {
		r.say(encoded)
	}
}

// say appends an encoded PDU to the output.
func (r *EchoRequestor) say(pdu []byte) {
	out := r.out
	if len(out) == 0 {
		out = r.said[:0]
	}
	out = append(out, pdu...)
	r.said, r.out = out, out
}
