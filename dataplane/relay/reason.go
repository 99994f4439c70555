package relay

import (
	"time"

	"golang.org/x/sys/unix"
)

// Reason is how a pair ended: HAProxy's termination state of TCP ("Session state at disconnection",
// configuration manual 8.5). The first letter says who, the second in which phase.
type Reason [2]byte

// First letters: C client, S server, c its timeout, s its timeout, R resources of this host, K an administrator, D the
// server was down, P the proxy itself. Second letters: C connecting, D data, L the last data to the client after
// the server was done, - after the end.
var (
	Normal             = Reason{'-', '-'} // both directions ended properly
	ClientConnecting   = Reason{'C', 'C'} // the client broke off before the server was reached
	ClientData         = Reason{'C', 'D'} // the client broke off
	ClientLast         = Reason{'C', 'L'}
	ClientTimeout      = Reason{'c', 'D'} // nothing moved, and the client was to act
	ClientTimeoutLast  = Reason{'c', 'L'}
	ServerConnecting   = Reason{'S', 'C'} // refused, or not reachable
	ServerTimeoutConn  = Reason{'s', 'C'} // no answer to the connect
	ServerData         = Reason{'S', 'D'} // the server broke off
	ServerTimeout      = Reason{'s', 'D'} // nothing moved, and the server was to act
	ResourceConnecting = Reason{'R', 'C'} // no descriptor, memory or source port for the connection to the server
	KilledConnecting   = Reason{'K', 'C'} // an administrator ended it, or the process did
	KilledData         = Reason{'K', 'D'}
)

// String is the two letters.
func (r Reason) String() string { return string(r[:]) }

// End tells how a pair ended.
type End struct {
	Reason Reason
	// Cause is the system's error, if there was one.
	Cause error
	// ToServer and ToClient are the bytes that were passed on.
	ToServer, ToClient int64
	// Connect is how long reaching the server took, all attempts; negative: it was not reached. Total is from Join.
	Connect, Total time.Duration
}

// Unreached is the reason for a failed attempt to reach a server.
func Unreached(cause error) Reason {
	switch cause {
	case ErrConnectTimeout:
		return ServerTimeoutConn
	case unix.EMFILE, unix.ENFILE, unix.ENOBUFS, unix.ENOMEM, unix.EADDRNOTAVAIL, unix.EADDRINUSE, unix.EAGAIN, unix.ENOSPC:
		return ResourceConnecting
	default:
		return ServerConnecting
	}
}

// farewell says which side hears of the end by RST. A proper end and a timeout with nothing under way close by FIN.
// Else the one who is not to blame gets RST, so that it does not take what it has for all there was. HAProxy
// passes a client's reset on so, but tells a client by FIN that its server broke off: a transfer that was
// cut then looks complete.
func farewell(r Reason, lost bool) (client, server bool) {
	switch r[0] {
	case '-':
		return false, false
	case 'c', 's':
		if r == ServerTimeoutConn {
			return true, true
		}
		return lost, lost
	default:
		return true, true
	}
}
