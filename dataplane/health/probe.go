package health

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"
)

// prober asks one question of one server over a connection that the caller opens and closes.
type prober interface {
	// where returns address, port and timeout.
	where() place
	// ask returns what the server said. conn has the deadline of ctx set, and loses all time
	// when ctx is cancelled.
	ask(ctx context.Context, conn net.Conn) Result
}

// place is where a probe goes and how it is called in messages.
type place struct {
	what    string // such as "DICOM C-ECHO"
	address netip.AddrPort
	timeout time.Duration
	// via is the VIP to connect to instead of address, see Check.Via.
	via netip.Addr
	// invalid, if set, says why the probe cannot be made.
	invalid error
}

// where implements that part of prober for everything that embeds place.
func (p place) where() place { return p }

// result returns a Result whose message names the probe and the place.
func (p place) result(g Grade, r Reason, format string, args ...any) Result {
	return Result{Grade: g, Reason: r, Message: fmt.Sprintf("%s to %v: ", p.what, p.address) + fmt.Sprintf(format, args...)}
}

func (p place) fail(r Reason, format string, args ...any) Result {
	return p.result(Fail, r, format, args...)
}

// newProber returns the prober of a check with defaults.
func newProber(a netip.Addr, c Check) prober {
	p := place{address: netip.AddrPortFrom(a, c.Port), timeout: c.Timeout, via: c.Via, invalid: c.validate()}
	if !a.IsValid() {
		p.invalid = invalid("address is missing")
	}
	switch c.Type {
	case HTTP:
		return newHTTPProber(p, c.HTTP)
	case DICOMEcho:
		p.what = "DICOM C-ECHO"
		return newDICOMProber(p, c.DICOM)
	case Agent:
		p.what = "agent"
		return agentProber{place: p, check: c.Agent}
	case External:
		p.what = "program " + c.External.Program
		return programProber{place: p, check: c.External}
	default:
		p.what = "TCP connect"
		return tcpProber{p}
	}
}

// tcpProber passes as soon as there is a connection.
type tcpProber struct{ place }

var (
	_ prober = tcpProber{}
	_ prober = dicomProber{}
	_ prober = (*httpProber)(nil)
	_ prober = agentProber{}
	_ prober = programProber{}
)

func (tcpProber) ask(context.Context, net.Conn) Result { return Result{} }

// probe runs one probe from connect to close within its timeout. If ctx ends, it is cut short.
func (m *Monitor) probe(ctx context.Context, p prober) Result {
	at := p.where()
	if at.invalid != nil {
		return at.result(Inconclusive, InvalidCheck, "%v", at.invalid)
	}
	if program, ok := p.(programProber); ok {
		return program.run(ctx, m.cfg.RunProgram)
	}
	if f := flierOf(p); f != nil && m.cfg.Dial == nil {
		return m.loop.probe(ctx, f)
	}
	limited, cancel := context.WithTimeout(ctx, at.timeout)
	defer cancel()
	conn, err := m.dial(limited, at)
	if err != nil {
		return at.dialResult(err)
	}
	defer conn.Close()
	deadline, _ := limited.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return at.result(Inconclusive, LocalFault, "no time limit could be set: %v", err)
	}
	// Removal and Close reach the connection this way. The timeout does not: it is the deadline's,
	// and must not take the time that a prober gives itself to part in good order.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	return p.ask(limited, conn)
}

// dial opens the probe's connection.
func (m *Monitor) dial(ctx context.Context, at place) (net.Conn, error) {
	switch {
	case !at.via.IsValid() && m.cfg.Dial == nil:
		return dialSocket(ctx, at.address)
	case !at.via.IsValid():
		return m.cfg.Dial(ctx, "tcp", at.address.String())
	case m.cfg.DialVia == nil:
		return nil, fmt.Errorf("no dialer for virtual IP addresses: %w", ErrUnprepared)
	default:
		return m.cfg.DialVia(ctx, netip.AddrPortFrom(at.via, at.address.Port()), at.address.Addr())
	}
}
