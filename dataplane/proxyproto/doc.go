// Package proxyproto is a codec for the PROXY protocol, versions 1 and 2: the header by which a proxy tells the next
// one, or a server, on behalf of whom it connects. Source: HAProxy, doc/proxy-protocol.txt ("the specification").
//
//	h, n, err := proxyproto.Parse(buf)
//	switch {
//	case err != nil: ... close the connection ...
//	case n == 0:     ... read more behind buf ...
//	default:         ... the header is buf[:n], what is proxied begins at buf[n] ...
//	}
//
// The parser takes what the specification allows and nothing else, and says so with the first byte that is wrong.
// Version 2 may carry further values (TLVs): their framing is checked, the checksum is verified, everything else in
// them is passed over. Nobody here uses a name, a certificate or an identity that another machine claims to have seen.
//
// The package holds no socket, no timer and no policy, and imports the standard library only, nothing of net but netip.
package proxyproto
