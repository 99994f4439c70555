package health

import (
	"context"
	"time"

	"github.com/truepacs/balancer/dataplane/dicom"
)

// flier is a prober whose conversation a loop can carry on.
type flier interface {
	prober
	// conversation returns what is said over the connection; nil: nothing. It takes over the memory of one that has
	// ended, if that is not nil.
	conversation(ended *dicom.EchoRequestor) *dicom.EchoRequestor
	// landed returns the result of a flight that has ended.
	landed(f *flight) Result
}

var (
	_ flier = tcpProber{}
	_ flier = dicomProber{}
)

// flierOf returns a prober that the loop can carry on; nil: it cannot.
func flierOf(p prober) flier {
	if f, ok := p.(flier); ok && !f.where().via.IsValid() && f.where().invalid == nil {
		return f
	}
	return nil
}

// probe makes one probe in the loop. If ctx ends, it is cut short.
func (l *loop) probe(ctx context.Context, p flier) Result {
	at := p.where()
	f, err := takeOff(at.address, p.conversation(nil), time.Now().Add(at.timeout))
	if err != nil {
		return at.dialResult(err)
	}
	if err := l.fly(f); err != nil {
		f.drop()
		return at.dialResult(err)
	}
	return l.await(ctx, f, p)
}

// await waits for the end of a flight. If ctx ends, it is cut short.
func (l *loop) await(ctx context.Context, f *flight, p flier) Result {
	select {
	case <-f.done:
	case <-ctx.Done():
		l.cut(f)
		<-f.done
	}
	return p.landed(f)
}

func (tcpProber) conversation(*dicom.EchoRequestor) *dicom.EchoRequestor { return nil }

func (p tcpProber) landed(f *flight) Result {
	if f.err != nil {
		return p.dialResult(f.err)
	}
	return Result{}
}

func (p dicomProber) conversation(ended *dicom.EchoRequestor) *dicom.EchoRequestor {
	if ended == nil {
		return p.plan.Requestor()
	}
	p.plan.Again(ended)
	return ended
}

func (p dicomProber) landed(f *flight) Result {
	switch o := f.echo.Outcome(); {
	case o != nil:
		return p.judge(o)
	case f.connected:
		return p.ioResult(f.err, f.stage.String())
	default:
		return p.dialResult(f.err)
	}
}
