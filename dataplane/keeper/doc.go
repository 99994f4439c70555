// Package keeper passes layer 7 listening sockets and configuration from the agent to the
// proxy, over a unix socket.
//
// The agent binds the sockets because a proxy without capabilities cannot bind ports below 1024
// or addresses that are not on the host yet (IP_FREEBIND, ip(7)). Both sides hold every socket,
// so either may be restarted and nobody in the accept queue is refused: a new proxy gets the
// sockets from the agent, a new agent gets them back from the proxy.
//
// The protocol is length-prefixed JSON with file descriptors attached (SCM_RIGHTS, unix(7)).
// Server is the agent's side, Client the proxy's. The package imports dataplane/model and the
// standard library and golang.org/x/sys only.
package keeper
