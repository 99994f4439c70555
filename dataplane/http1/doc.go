// Package http1 is a codec for HTTP/1.1 messages (RFC 9110, RFC 9112): bytes in, offsets out.
//
// It reads the heads of requests and responses, decides how their bodies are framed, decodes
// and encodes the chunked coding and writes heads. It holds no socket, no timer and no policy,
// and imports the standard library only, nothing of net but netip.
//
// A proxy must never read a message differently from the server behind it: that is how requests
// are smuggled. So the parser refuses whatever two readers could take in two ways, instead of
// repairing it: a Content-Length together with a Transfer-Encoding, any transfer coding but
// chunked, bare CR or LF, folded lines, white space around field names, a request without
// exactly one Host, an authority that differs from Host.
//
// Parse is incremental and goes over each byte once:
//
//	for {
//		n, err := req.Parse(buf, http1.Limits{})
//		if err != nil { ... *http1.Error, with the status to answer ... }
//		if n > 0 { ... head is buf[:n], the body starts at buf[n] ... }
//		... read more into buf ...
//	}
//
// A Request or Response can be used again after Reset and then allocates nothing.
package http1
