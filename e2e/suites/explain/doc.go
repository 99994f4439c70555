// Package explain shows that truepacs explain says the truth: it is asked which server a client would
// get, the client connects, and captures at the servers are the witness. And it shows that a port of a
// server in modes L4SNAT and L7SNAT is refused in both orders.
package explain
