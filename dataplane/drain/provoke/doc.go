// Package provoke makes clients speak whose connections are to be reset. A reset needs the sequence
// number that the other end awaits (RFC 5961 section 3.2), and with direct routing the director
// learns it from the client's packets alone. A client that is silent is sent a segment that is out of
// place, which every TCP answers with an acknowledgment (RFC 9293 section 3.10.7.4, first check);
// dataplane/nft makes resets of the answers.
//
// The package may import dataplane/drain, golang.org/x/sys/unix and the standard library.
package provoke
