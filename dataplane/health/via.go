package health

import (
	"context"
	"errors"
	"net"
	"net/netip"
)

// DialVia opens a TCP connection to a virtual IP address on one chosen server, the way direct
// routing sends packets; dataplane/health/direct implements it. Beside errors of connect(2) it
// returns what wraps ErrNoVIP, ErrOffSegment or ErrUnprepared.
type DialVia func(ctx context.Context, vip netip.AddrPort, server netip.Addr) (net.Conn, error)

// Errors of a DialVia.
var (
	// ErrNoVIP: the server answers on its own address and is silent on the VIP.
	ErrNoVIP = errors.New("the server does not answer on the virtual IP address")
	// ErrOffSegment: a router stands between this host and the server.
	ErrOffSegment = errors.New("the server is not on a network of this host")
	// ErrUnprepared: this host could not make the path; nothing was learnt about the server.
	ErrUnprepared = errors.New("the direct-routing path could not be made on this host")
)

// viaResult grades what only a DialVia returns; false: it is an error of connecting like any other.
func (p place) viaResult(err error) (Result, bool) {
	switch {
	case errors.Is(err, ErrUnprepared):
		return p.result(Inconclusive, LocalFault, "this balancer could not make the check through the direct-routing path (%v); "+
			"the server's state is left as it was.", err), true
	case errors.Is(err, ErrOffSegment):
		return p.fail(OffSegment, "direct routing needs the server on a network that this balancer is connected to (%v). "+
			"Put it there, or choose mode L4Tunnel, L4SNAT or L4NAT.", err), true
	case errors.Is(err, ErrNoVIP):
		return p.fail(NoVIP, "the server answers on its own address %v, but not on the virtual IP address %v. Put %v on the loopback "+
			"interface of the server (truepacs realserver-setup does) and let its firewall accept it.", p.address.Addr(), p.via, p.via), true
	default:
		return Result{}, false
	}
}
