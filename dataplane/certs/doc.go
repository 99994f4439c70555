// Package certs decides which certificates, authorities and revocation lists a listener uses, and
// answers the questions of a handshake about them. It is pure: bytes and the time in, decisions
// out.
//
//	d := certs.Decide(offer, current, needed, now)   // d.Use is served, d.Refused says why offer is not
//	s, err := certs.NewSelector(pairs)               // by server name (SNI) and kind of key
//	a, err := certs.ParseAuthorities(ca, lists)      // whose client certificates are accepted
//	err = a.Revoked(state.VerifiedChains, now)
//
// What is new is held against what is in use. A certificate that is worse for clients than its
// predecessor (another host's, not yet valid, a chain that does not hold) is refused and the
// predecessor stays. Where nothing is in use yet, everything that can be served is: a browser's
// warning is better than no viewer. Authorities and revocation lists admit clients, so there it
// is the other way round: without a good one nobody is let in.
//
// Messages begin with a verb in the third person and have neither place nor full stop: the caller
// says where ("Secret imaging/viewer-tls " + message). They hold no private key.
//
// The package may import the standard library and dataplane/model.
package certs
