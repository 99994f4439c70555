// Package relay joins a client's TCP connection to one to a server and carries bytes between them, on a loop of
// package eventloop.
//
// Each direction ends by itself: its FIN is passed on after its last byte. What the receiver does not take is held in at
// most one block or one pipe, then reading stops. An idle pair holds two descriptors and no buffer. Bulk data is
// spliced; where pipes cannot be had it is copied.
//
// How a pair ended is told with HAProxy's two letters (Reason), and it ends as it would there: with one
// difference, see farewell.
//
// The package imports the standard library, golang.org/x/sys/unix, dataplane/eventloop and dataplane/nonblock.
package relay
