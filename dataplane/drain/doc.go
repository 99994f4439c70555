// Package drain decides how servers leave: how many connections those that are drained still have,
// when they have none left, which connections are to be reset because their time is over, and when
// the kernel may forget the server. It is pure; the caller reads the kernel's table of connections
// when a Tally is due and does what a Result says.
//
// A server in state Drain gets no new connections. Its connections go on until the drain timeout of
// the service, counted from the decision that first saw the state; then they are reset. A server in
// state Maintenance is one whose time is over at once. While connections are reset, the kernel keeps
// the server, without weight, because the resets travel to it as the client's packets do. Afterwards
// the kernel forgets it, and with it what cannot be reset: UDP, and clients that are silent.
//
// # What counts as a connection
//
// With direct routing and tunnels the director sees the client's half only (IPVS, state table
// INPUT_ONLY of ip_vs_proto_tcp.c). A connection that the client has closed counts until nothing has
// come for five seconds: the server may still be sending. One that the server alone has reset is not
// seen to end and counts until the director's idle timeout, layer4Timeouts.tcpSeconds. UDP counts
// until udpSeconds after the last datagram; with one-packet scheduling there is nothing to count.
//
// The package may import dataplane/model and the standard library.
package drain
