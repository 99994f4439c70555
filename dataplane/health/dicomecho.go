package health

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/truepacs/balancer/dataplane/dicom"
)

// dicomProber runs a C-ECHO through to its status and releases the association.
type dicomProber struct {
	place
	check DICOMCheck
	// plan is nil if the check is invalid.
	plan *dicom.EchoPlan
}

func newDICOMProber(p place, c DICOMCheck) dicomProber {
	plan, err := dicom.NewEchoPlan(dicom.EchoConfig{CalledAETitle: c.CalledAETitle, CallingAETitle: c.CallingAETitle})
	if err != nil && p.invalid == nil {
		p.invalid = err
	}
	return dicomProber{place: p, check: c, plan: plan}
}

// Times for parting from a server that has already answered, or has failed to.
const (
	releaseWait = time.Second
	abortWait   = 100 * time.Millisecond
)

func (p dicomProber) ask(ctx context.Context, conn net.Conn) Result {
	r := p.plan.Requestor()
	err := converse(ctx, r, conn)
	if o := r.Outcome(); o != nil {
		return p.judge(o)
	}
	result := p.ioResult(err, r.Stage().String())
	abort(r, conn)
	return result
}

// converse carries bytes between r and conn until r is done or conn fails. An error of writing is
// left to the next read: what a server sent before it closed says more than our broken pipe.
func converse(ctx context.Context, r *dicom.EchoRequestor, conn net.Conn) error {
	var buffer [4096]byte
	buf := buffer[:]
	releasing := false
	for {
		if out := r.Output(); len(out) > 0 {
			if _, err := conn.Write(out); err != nil && isTimeout(err) {
				return err
			}
		}
		if r.Done() {
			return nil
		}
		if r.Outcome() != nil && !releasing {
			releasing = true
			waitAtMost(ctx, conn, releaseWait)
		}
		n, err := conn.Read(buf)
		r.Feed(buf[:n])
		switch {
		case errors.Is(err, io.EOF):
			r.PeerClosed()
		case err != nil && !r.Done():
			return err
		}
	}
}

// waitAtMost brings the read deadline forward. A context that has ended keeps its effect.
func waitAtMost(ctx context.Context, conn net.Conn, d time.Duration) {
	until := time.Now().Add(d)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(until) {
		return
	}
	_ = conn.SetReadDeadline(until)
	if ctx.Err() != nil {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// abort tells the server that we give up, so that it does not hold the association open.
func abort(r *dicom.EchoRequestor, conn net.Conn) {
	r.Abort()
	if out := r.Output(); len(out) > 0 {
		_ = conn.SetWriteDeadline(time.Now().Add(abortWait))
		_, _ = conn.Write(out)
	}
}

// judge says what an outcome means for the server and what to do about it.
func (p dicomProber) judge(o dicom.Outcome) Result {
	switch o := o.(type) {
	case dicom.Succeeded:
		return Result{}
	case dicom.Rejected:
		return p.judgeRejection(o)
	case dicom.Aborted:
		return p.fail(AssociationAborted, "%v. Many servers do this when the calling AE title %q is not registered for the address of "+
			"this balancer: register it there, or correct healthChecks.dicomEcho.callingAETitle.", o, p.check.CallingAETitle)
	case dicom.ContextRefused:
		return p.fail(VerificationRefused, "%v. Allow the Verification SOP class (%s) for the calling AE title %q on the server.",
			o, dicom.VerificationUID, p.check.CallingAETitle)
	case dicom.StatusFailure:
		return p.fail(EchoStatus, "%v. The server answers but reports that it does not work: look at its log.", o)
	case dicom.Disconnected:
		return p.ioResult(io.EOF, o.Stage.String())
	case dicom.ProtocolError:
		return p.judgeProtocol(o)
	default:
		return p.fail(ProtocolError, "%v.", o)
	}
}

func (p dicomProber) judgeProtocol(e dicom.ProtocolError) Result {
	if errors.Is(e, dicom.ErrNotDICOM) {
		return p.fail(ProtocolError, "something answers, but not in DICOM (%v). Correct the port of the health check; "+
			"a port that expects TLS cannot be checked with DICOMEcho.", e.Err)
	}
	return p.fail(ProtocolError, "%v. Look at the log of the service.", e)
}

func (p dicomProber) judgeRejection(r dicom.Rejected) Result {
	switch {
	case r.Busy():
		return p.result(Pass, ServerBusy, "%v. The server works and stays in service; if this lasts, raise its limit of associations.", r)
	case r.CalledRefused():
		return p.fail(AETitleRejected, "the server does not answer to the called AE title %q (%v). "+
			"Set healthChecks.dicomEcho.calledAETitle to the AE title of the server.", p.check.CalledAETitle, r.AssociateRJ)
	case r.CallingRefused():
		return p.fail(AETitleRejected, "the server does not know the calling AE title %q (%v). Set healthChecks.dicomEcho.callingAETitle to a "+
			"title that it accepts, or register this one on it with the address of this balancer.", p.check.CallingAETitle, r.AssociateRJ)
	default:
		return p.fail(AssociationRejected, "%v. Look at the log of the server.", r)
	}
}
