package health

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"syscall"
)

// localFaults are errors of connect(2) and socket(2) that say nothing about the server: out of
// descriptors, buffers or local ports, or forbidden by a rule on this host.
func localFaults() []error {
	return []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.EADDRNOTAVAIL, syscall.EAGAIN, syscall.EPERM, syscall.EACCES,
	}
}

// isAny tells whether err wraps one of the targets.
func isAny(err error, targets ...error) bool {
	return slices.ContainsFunc(targets, func(t error) bool { return errors.Is(err, t) })
}

// isTimeout tells errors that mean that time ran out, on our clock or in the kernel.
func isTimeout(err error) bool {
	var ne net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.As(err, &ne) && ne.Timeout()
}

// dialResult grades an error of connecting.
func (p place) dialResult(err error) Result {
	if r, ok := p.viaResult(err); ok {
		return r
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return p.fail(ConnectionRefused, "the server refused the connection. The host is up, but nothing listens on port %d: "+
			"start the service there, or correct the port of the health check.", p.address.Port())
	case isAny(err, syscall.EHOSTUNREACH, syscall.ENETUNREACH, syscall.EHOSTDOWN, syscall.ENETDOWN):
		return p.fail(NoRoute, "no way to the server (%v). Check that the host is switched on, that its address is right, "+
			"and the cable, VLAN and route between it and this balancer.", rootCause(err))
	case errors.Is(err, syscall.ECONNRESET):
		return p.ioResult(err, "it was being opened")
	case isAny(err, localFaults()...):
		return p.result(Inconclusive, LocalFault, "this balancer could not make the check (%v); the server's state is left as it was. "+
			"Look for exhausted file descriptors or local ports, or a firewall rule on the balancer itself.", rootCause(err))
	case isTimeout(err):
		return p.fail(ConnectTimeout, "no answer to the connection attempt within %v. Check that the host is switched on, "+
			"and that no firewall between it and this balancer drops port %d.", p.timeout, p.address.Port())
	default:
		return p.fail(ConnectFailed, "the connection could not be opened (%v).", rootCause(err))
	}
}

// rootCause drops the operation and the addresses from an error; the message has them already.
func rootCause(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// ioResult grades an error of reading or writing; doing completes "while ...".
func (p place) ioResult(err error, doing string) Result {
	switch {
	case isTimeout(err):
		return p.fail(ResponseTimeout, "connected, but no answer within %v while %s. "+
			"The service hangs or is overloaded: look at its process and log, or raise timeoutSeconds.", p.timeout, doing)
	case isAny(err, syscall.ECONNRESET, syscall.EPIPE):
		return p.fail(ConnectionReset, "the server reset the connection while %s. Look at the log of the service.", doing)
	case isAny(err, io.EOF, io.ErrUnexpectedEOF):
		return p.fail(ConnectionClosed, "the server closed the connection while %s. Look at the log of the service.", doing)
	default:
		return p.fail(ConnectFailed, "the connection failed while %s (%v).", doing, rootCause(err))
	}
}
