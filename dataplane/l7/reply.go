package l7

import (
	"strconv"

	"github.com/truepacs/balancer/dataplane/http1"
)

// reply is an answer of the proxy itself.
type reply struct {
	status int
	reason string
	// text is for the user of a viewer, who sees it in the browser.
	text string
	// field is one more header field, with its line end.
	field string
}

// Answers of the proxy. Their texts hold nothing of the request.
var (
	replyBadRequest = reply{400, "Bad Request", "The request is malformed or ambiguous and was not passed on.\n", ""}
	replyBadPath    = reply{400, "Bad Request", "The address has a . or .. element and was not passed on.\n", ""}
	replyTimeout    = reply{408, "Request Timeout", "The request did not arrive in time.\n", ""}
	replyTooLong    = reply{414, "URI Too Long", "The address is too long.\n", ""}
	replyTooLarge   = reply{431, "Request Header Fields Too Large", "The header of the request is too large. Deleting this site's cookies may help.\n", ""}
	replyNoConnect  = reply{405, "Method Not Allowed", "This service is no forward proxy.\n", "Allow: GET, HEAD, POST, PUT, DELETE, OPTIONS, PATCH\r\n"}
	replyCoding     = reply{501, "Not Implemented", "The transfer coding of the request is not supported.\n", ""}
	replyVersion    = reply{505, "HTTP Version Not Supported", "Only HTTP/1.0 and HTTP/1.1 are supported here.\n", ""}
	replyBadGateway = reply{502, "Bad Gateway", "The imaging server gave no proper answer. Please try again; if it stays so, tell your PACS administrator.\n", ""}
	replyNoServer   = reply{503, "Service Unavailable", "No imaging server is available at the moment. Please try again in a minute; if it stays so, tell your PACS administrator.\n", "Retry-After: 5\r\n"}
	replySlowServer = reply{504, "Gateway Timeout", "The imaging server did not answer in time. Please try again; if it stays so, tell your PACS administrator.\n", ""}
)

// refusal chooses the answer to a request that the codec refused.
func refusal(err error) reply {
	e, ok := err.(*http1.Error)
	if !ok {
		return replyBadRequest
	}
	switch e.Status {
	case 414:
		return replyTooLong
	case 431:
		return replyTooLarge
	case 501:
		return replyCoding
	case 505:
		return replyVersion
	}
	return replyBadRequest
}

// replyFields are in every answer.
const replyFields = "Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"

// append appends the whole answer; to HEAD it has no body.
func (r reply) append(dst []byte, head, keep bool) []byte {
	dst = append(dst, "HTTP/1.1 "...)
	dst = strconv.AppendInt(dst, int64(r.status), 10)
	dst = append(append(append(dst, ' '), r.reason...), "\r\n"...)
	dst = append(dst, replyFields...)
	dst = append(dst, r.field...)
	dst = http1.AppendLength(dst, int64(len(r.text)))
	if !keep {
		dst = append(dst, "Connection: close\r\n"...)
	}
	dst = http1.AppendEnd(dst)
	if head {
		return dst
	}
	return append(dst, r.text...)
}
