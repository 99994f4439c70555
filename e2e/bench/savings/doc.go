// Package savings measures what direct routing saves a director: the bytes and packets it handles
// for a gigabyte that clients retrieve, and its processor time, in each mode. One director with the
// shipped program has one service of each mode, each with a server of its own, and the same bytes
// are retrieved through all, in turns and with requests of several sizes.
//
// Bytes and packets are those of the director's own network interfaces, and the host's ends of
// their cables have to say the same. Processor time is that of the director's kernel and, as a
// second witness, that of the host's threads which are the director's processors.
//
// It may import e2e/flow, e2e/lab, e2e/site and e2e/suite.
package savings
