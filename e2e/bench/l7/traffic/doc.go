// Package traffic is both ends of what is measured: a server, and a load that checks every byte of
// what comes back. Both run as a program of their own (folder ends), in a process that is not the
// test's, so that they can be placed on hosts and told apart from what is between them.
//
// A load first opens its connections and uses each once. Then it says that it is ready, waits to be told to go on,
// does a fixed number of exchanges, says what it has seen and waits again before it closes the connections; so what
// a front spends between is for these exchanges alone. It speaks lines of JSON (Report), and goes on at each line it
// reads.
//
// It may import golang.org/x/net/http2.
package traffic
