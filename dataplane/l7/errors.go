package l7

import (
	"errors"
	"fmt"

	"github.com/truepacs/balancer/dataplane/http1"
	"github.com/truepacs/balancer/dataplane/relay"
)

var (
	// errNoServer says that no server of a pool is healthy.
	errNoServer = errors.New("no server is available")
	// errLate says that something did not come in time.
	errLate = errors.New("it took too long")
	// errGone says that the other side broke off.
	errGone = errors.New("the connection was reset")
	// errNoTLS ends handshakes at a listener that serves no TLS any more.
	errNoTLS = errors.New("the listener serves no TLS any more")
)

// connectError says that no server could be reached.
type connectError struct {
	server string
	err    error
}

// Error implements error.
func (e *connectError) Error() string { return fmt.Sprintf("server %s: %v", e.server, e.err) }

// Unwrap returns the cause.
func (e *connectError) Unwrap() error { return e.err }

// clientError says that the client has failed while its request was served.
type clientError struct{ err error }

// Error implements error.
func (e *clientError) Error() string { return "client: " + e.err.Error() }

// Unwrap returns the cause.
func (e *clientError) Unwrap() error { return e.err }

// isClient tells whether the client failed.
func isClient(err error) bool {
	var c *clientError
	return errors.As(err, &c)
}

// isMalformed tells messages that cannot be read from connections that fail.
func isMalformed(err error) bool {
	var m *http1.Error
	return errors.As(err, &m)
}

// verdict is how a request that got no answer from a server ends: what the client is told, nothing if it is not
// there any more, and the termination code (HAProxy configuration manual 8.5).
func verdict(err error) (r *reply, code relay.Reason) {
	var connect *connectError
	switch {
	case isClient(err) && isMalformed(err):
		return &replyBadRequest, relay.Reason{'P', 'D'}
	case isClient(err):
		return nil, relay.Reason{'C', 'D'}
	case errors.Is(err, errNoServer):
		return &replyNoServer, relay.ServerConnecting
	case errors.As(err, &connect) && errors.Is(err, relay.ErrConnectTimeout):
		return &replySlowServer, relay.ServerTimeoutConn
	case errors.As(err, &connect):
		return &replyNoServer, relay.Unreached(connect.err)
	case errors.Is(err, errLate):
		return &replySlowServer, relay.Reason{'s', 'H'}
	case isMalformed(err):
		return &replyBadGateway, relay.Reason{'P', 'H'}
	}
	return &replyBadGateway, relay.Reason{'S', 'H'}
}
