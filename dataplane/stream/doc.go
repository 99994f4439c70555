// Package stream is a TCP connection on an event loop as a stream of bytes, in clear or ended TLS: who reads and
// writes one does not know the difference.
//
// Nothing blocks: ErrAgain says that the owner will be told when to come back. A stream holds no buffer of its own
// while nothing waits in it; ciphertext passes through memory that all streams of a loop share.
//
// The package imports the standard library, golang.org/x/sys/unix, dataplane/eventloop, dataplane/nonblock and
// dataplane/tlssession.
package stream
