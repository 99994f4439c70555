// Package explain says what a client would get: which virtual service, which server, and why; or why
// it gets nothing. It decides nothing itself. The service is found as dataplane/nft finds it, the
// server of layer 4 by dataplane/ipvs/schedule from what the kernel has at that moment, the route of
// layer 7 by dataplane/l7.
//
// Everything here is pure: the caller reads the kernel and hands over what it read (Facts).
//
// It may import dataplane/model, dataplane/ipvs, dataplane/ipvs/schedule and dataplane/l7.
package explain
