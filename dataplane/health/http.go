package health

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"syscall"
)

// Bounds of an HTTP answer in bytes: how much of the body is searched, and how much is read in all,
// header fields and chunk framing included.
const (
	maxBody   = 64 << 10
	maxAnswer = maxBody + 128<<10
)

// httpProber sends one request and judges the answer. It works on the connection itself rather than
// through http.Client, which would keep goroutines and follow its own timeouts.
type httpProber struct {
	place
	check   HTTPCheck
	request []byte
	tls     *tls.Config
}

// newHTTPProber prepares the request, which is the same every time.
func newHTTPProber(p place, c HTTPCheck) *httpProber {
	host, scheme := c.Host, "http"
	if host == "" {
		host = p.address.String()
	}
	h := &httpProber{check: c}
	if c.TLS {
		scheme = "https"
		h.tls = &tls.Config{
			InsecureSkipVerify: true,             // see HTTPCheck.TLS
			MinVersion:         tls.VersionTLS10, // an old server that works is not down
			ServerName:         serverName(host),
			NextProtos:         []string{"http/1.1"},
		}
	}
	p.what = fmt.Sprintf("%s %s://%s%s", c.Method, scheme, host, c.Path)
	h.place = p
	h.request = fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: truepacs-health\r\nAccept: */*\r\nConnection: close\r\n\r\n",
		c.Method, c.Path, host)
	return h
}

// serverName returns the TLS server name for a Host header; an address is sent as none (RFC 6066
// section 3).
func serverName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return ""
	}
	return host
}

func (p *httpProber) ask(ctx context.Context, conn net.Conn) Result {
	if p.tls != nil {
		secure := tls.Client(conn, p.tls)
		if err := secure.HandshakeContext(ctx); err != nil {
			return p.handshakeResult(err)
		}
		conn = secure
	}
	// A server may answer and close before it has read the request; the answer counts.
	if _, err := conn.Write(p.request); err != nil && isTimeout(err) {
		return p.ioResult(err, "sending the request")
	}
	answer := bufio.NewReader(io.LimitReader(conn, maxAnswer))
	resp, err := readResponse(answer, p.check.Method)
	if err != nil {
		return p.answerResult(err)
	}
	defer resp.Body.Close()
	if !p.statusExpected(resp.StatusCode) {
		return p.fail(UnexpectedStatus, "answered with status %d, expected %s. Look at the log of the service, or correct "+
			"healthChecks.http.path or expectedStatuses.", resp.StatusCode, p.expectedStatuses())
	}
	return p.judgeBody(resp.Body)
}

// maxInterim is how many 1xx answers may come before the final one.
const maxInterim = 5

// readResponse reads the head of the final answer, skipping interim ones (RFC 9110 section 15.2).
func readResponse(r *bufio.Reader, method string) (*http.Response, error) {
	for range maxInterim {
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil || resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			return resp, err
		}
	}
	return nil, errors.New("too many interim answers")
}

func (p *httpProber) statusExpected(status int) bool {
	if len(p.check.ExpectedStatuses) == 0 {
		return status >= 200 && status <= 399
	}
	return slices.Contains(p.check.ExpectedStatuses, status)
}

// expectedStatuses returns the expectation in words.
func (p *httpProber) expectedStatuses() string {
	if len(p.check.ExpectedStatuses) == 0 {
		return "200 to 399"
	}
	return strings.Trim(strings.ReplaceAll(fmt.Sprint(p.check.ExpectedStatuses), " ", " or "), "[]")
}

// judgeBody searches the body as it arrives and stops at the first match.
func (p *httpProber) judgeBody(body io.Reader) Result {
	if p.check.ExpectedBody == "" {
		return Result{}
	}
	found, err := searchBody(body, []byte(p.check.ExpectedBody))
	switch {
	case found:
		return Result{}
	case err != nil && isTimeout(err):
		return p.ioResult(err, "reading the body")
	default:
		return p.fail(UnexpectedBody, "the status is right, but %q does not occur in the first %d KiB of the body. "+
			"Look at the service, or correct healthChecks.http.expectedBody.", p.check.ExpectedBody, maxBody>>10)
	}
}

// searchBody looks for want in the first 64 KiB of body; err is what ended the body if not its end.
func searchBody(body io.Reader, want []byte) (found bool, err error) {
	body = io.LimitReader(body, maxBody)
	var seen []byte
	buf := make([]byte, 4096)
	for {
		n, err := body.Read(buf)
		from := max(0, len(seen)-len(want)+1)
		seen = append(seen, buf[:n]...)
		if bytes.Contains(seen[from:], want) {
			return true, nil
		}
		if errors.Is(err, io.EOF) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
}

// answerResult grades an error of reading the head. The error's text may quote the server and is
// not shown.
func (p *httpProber) answerResult(err error) Result {
	if isTimeout(err) || isAny(err, io.EOF, io.ErrUnexpectedEOF) || isNetwork(err) {
		return p.ioResult(err, "waiting for the answer")
	}
	return p.fail(ProtocolError, "something answers, but not in HTTP/1. Correct the port of the health check; "+
		"if the port expects TLS, set that in the check.")
}

func (p *httpProber) handshakeResult(err error) Result {
	var record tls.RecordHeaderError
	switch {
	case isTimeout(err):
		return p.ioResult(err, "setting up TLS")
	case errors.As(err, &record):
		return p.fail(TLSHandshakeFailed, "something answers, but not in TLS. Correct the port of the health check, or check without TLS.")
	default:
		return p.fail(TLSHandshakeFailed, "no TLS session could be set up (%v). Look at the certificate, protocol versions and log of the service.", rootCause(err))
	}
}

// isNetwork tells errors of the connection from errors of what came over it.
func isNetwork(err error) bool {
	var op *net.OpError
	var errno syscall.Errno
	return errors.As(err, &op) || errors.As(err, &errno)
}
