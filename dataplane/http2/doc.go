// Package http2 is the server's side of an HTTP/2 connection (RFC 9113, RFC 7541, RFC 8441)
// without a socket: bytes in, requests out, and the other way round.
//
//	c := http2.New(http2.Config{}, handler)
//	for {
//		... write c.Output(), c.Sent(n) ...
//		if c.Full() { continue }
//		... read p ...
//		if err := c.Feed(p); err != nil { ... *http2.Error: write c.Output(), close ... }
//	}
//
// The handler answers with Respond, Data and Trailers of a Stream, at once or later. Every call may
// add to the output, also Sent: write until it is empty.
//
// The package holds no socket, no timer and no goroutine, and imports nothing but the standard
// library (nothing of net but netip) and HPACK's decoder of golang.org/x/net.
//
// # Streams
//
// A stream is the handler's from Request until it is over:
//
//   - both sides have ended and every byte that Data gave was Consumed: it is over when the last
//     of Respond, Data, Trailers and Consumed, or of the callbacks Request, Data and Trailers,
//     returns;
//   - the handler calls Stream.Reset;
//   - Handler.Reset returns.
//
// Then its memory is the next stream's: the handler must have forgotten it. Until then it counts
// for Config.MaxStreams, also while the handler still has content of a request that was answered.
// A stream that the peer reset does not count any more, since Handler.Reset is where the handler
// ends its work for it; what a peer gains by that is bounded by the budget below.
//
// # Strictness
//
// A request must mean the same to the server behind. Whatever RFC 9113 section 8 calls malformed
// is answered by RST_STREAM and never reaches the handler; so is what HTTP/1.1 has no form for:
// names that are no tokens, a path with octets that a URI cannot have, user information. Content
// has the length that content-length says, or the stream is reset.
//
// # Abuse
//
// Everything that a peer can make this side keep is bounded by Config: streams, windows, field
// sections (CVE-2024-27316), output. What costs time only is bounded by two budgets, which need no
// clock because they are filled again by use: resets (CVE-2023-44487, CVE-2025-8671) by streams
// that finish, frames of no use by those and by content. Who exceeds one gets
// GOAWAY(ENHANCE_YOUR_CALM).
package http2
