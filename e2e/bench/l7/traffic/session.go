package traffic

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"time"
)

// patience is how long nothing may come back.
const patience = 30 * time.Second

// session is a connection to the front.
type session struct {
	net.Conn
	r *bufio.Reader
	// request is what is sent each time.
	request []byte
	order   *Order
}

// opener opens sessions of an order.
type opener struct {
	order *Order
	tls   *tls.Config
}

func newOpener(order *Order) (*opener, error) {
	o := &opener{order: order}
	if order.Protocol == TCP || order.Protocol == HTTP {
		return o, nil
	}
	text, err := os.ReadFile(order.Certificate)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM", order.Certificate)
	}
	o.tls = &tls.Config{
		InsecureSkipVerify: true, // it is compared below; crypto/tls verifies the handshake's signature by its key
		ServerName:         "pacs.example.org", MinVersion: tls.VersionTLS13,
		CurvePreferences: []tls.CurveID{tls.X25519}, NextProtos: []string{"http/1.1"},
		VerifyConnection: func(s tls.ConnectionState) error { return o.judge(s, block.Bytes) },
	}
	if order.Protocol == HTTP2 {
		o.tls.NextProtos = []string{"h2", "http/1.1"}
	}
	return o, nil
}

// judge asks of every connection the same certificate, suite, curve and protocol.
func (o *opener) judge(s tls.ConnectionState, certificate []byte) error {
	switch {
	case !bytes.Equal(s.PeerCertificates[0].Raw, certificate):
		return errors.New("the front shows another certificate")
	case s.DidResume:
		return errors.New("the handshake was not a full one")
	case s.CipherSuite != tls.TLS_AES_128_GCM_SHA256 || s.CurveID != tls.X25519:
		return fmt.Errorf("agreed were %s and %s, not TLS_AES_128_GCM_SHA256 and X25519", tls.CipherSuiteName(s.CipherSuite), s.CurveID)
	case s.NegotiatedProtocol != o.tls.NextProtos[0]:
		return fmt.Errorf("by ALPN %q was agreed, not %q: the front has no such protocol", s.NegotiatedProtocol, o.tls.NextProtos[0])
	}
	return nil
}

func (o *opener) dial() (net.Conn, error) {
	c, err := net.DialTimeout("tcp", o.order.Address, patience)
	if err != nil {
		return nil, err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	if o.tls == nil {
		return c, nil
	}
	secure := tls.Client(c, o.tls)
	if err := secure.Handshake(); err != nil {
		c.Close()
		return nil, fmt.Errorf("TLS handshake: %w", err)
	}
	return secure, nil
}

func (o *opener) open() (*session, error) {
	c, err := o.dial()
	if err != nil {
		return nil, err
	}
	size := 4096
	if o.order.Size > 0 {
		size = 256 << 10
	}
	return &session{Conn: c, r: bufio.NewReaderSize(c, size), request: o.order.request(""), order: o.order}, nil
}

// request is the bytes of a request with a cookie.
func (o *Order) request(cookie string) []byte {
	if o.Protocol == TCP {
		b := append([]byte(nil), piece(0, EchoSize)...)
		if b[0] = 'E'; o.Size > 0 {
			b[0] = 'B'
			binary.BigEndian.PutUint64(b[1:], uint64(o.Size))
		}
		return b
	}
	b := fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: pacs.example.org\r\nUser-Agent: viewer\r\nAccept: */*\r\n", o.path())
	if cookie != "" {
		b = fmt.Appendf(b, "Cookie: %s\r\n", cookie)
	}
	if o.Form == Fresh {
		b = append(b, "Connection: close\r\n"...)
	}
	return append(b, "\r\n"...)
}

func (o *Order) path() string {
	switch {
	case o.Size == 0:
		return "/studies"
	case o.Chunked:
		return fmt.Sprintf("/chunked/%d", o.Size)
	}
	return fmt.Sprintf("/length/%d", o.Size)
}

// exchange sends a request and reads its answer, and returns the number of bytes of its content.
func (s *session) exchange() (int64, error) {
	_ = s.SetDeadline(time.Now().Add(patience))
	if _, err := s.Write(s.request); err != nil {
		return 0, err
	}
	if s.order.Protocol == TCP {
		return s.readStream()
	}
	length, chunked, err := s.readHead()
	switch {
	case err != nil:
		return 0, fmt.Errorf("answer's head: %w", err)
	case chunked:
		length, err = s.readChunks()
	default:
		err = s.readContent(length, 0)
	}
	if want := max(s.order.Size, 0); err == nil && want > 0 && length != want {
		err = fmt.Errorf("the answer has %d bytes, not %d", length, want)
	}
	return length, err
}

// readStream reads the answer to a TCP request.
func (s *session) readStream() (int64, error) {
	if s.order.Size > 0 {
		return s.order.Size, s.readContent(s.order.Size, 0)
	}
	got, err := s.r.Peek(EchoSize)
	if err != nil {
		return 0, err
	}
	if !bytes.Equal(got, s.request) {
		return 0, errors.New("the answer is not what was sent")
	}
	_, err = s.r.Discard(EchoSize)
	return EchoSize, err
}

// readHead reads the head of an answer, which must be 200, and keeps the cookie for further requests, as a browser does.
func (s *session) readHead() (length int64, chunked bool, err error) {
	line, err := s.r.ReadSlice('\n')
	if err != nil {
		return 0, false, err
	}
	if !bytes.HasPrefix(line, []byte("HTTP/1.1 200 ")) {
		return 0, false, fmt.Errorf("%q", line)
	}
	length = -1
	for {
		if line, err = s.r.ReadSlice('\n'); err != nil {
			return 0, false, err
		}
		if line = bytes.TrimRight(line, "\r\n"); len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.ParseInt(string(value), 10, 64); err != nil {
				return 0, false, err
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("set-cookie")):
			pair, _, _ := bytes.Cut(value, []byte(";"))
			s.request = s.order.request(string(pair))
		}
	}
	if length < 0 && !chunked {
		return 0, false, errors.New("neither length nor chunks")
	}
	return length, chunked, nil
}

// readContent reads and compares bytes of content from an offset on.
func (s *session) readContent(length, offset int64) error {
	for end := offset + length; offset < end; {
		if _, err := s.r.Peek(1); err != nil {
			return fmt.Errorf("after %d bytes of %d: %w", offset, end, err)
		}
		got, _ := s.r.Peek(int(min(int64(s.r.Buffered()), end-offset)))
		if err := verify(got, offset); err != nil {
			return err
		}
		offset += int64(len(got))
		_, _ = s.r.Discard(len(got))
		if s.order.Size > 0 {
			_ = s.SetDeadline(time.Now().Add(patience))
		}
	}
	return nil
}

// readChunks reads chunked content and returns its length (RFC 9112 section 7.1).
func (s *session) readChunks() (length int64, err error) {
	for {
		line, err := s.r.ReadSlice('\n')
		if err != nil {
			return length, err
		}
		size, err := strconv.ParseInt(string(bytes.TrimRight(line, "\r\n")), 16, 64)
		if err != nil {
			return length, fmt.Errorf("chunk size %q", line)
		}
		if err := s.readContent(size, length); err != nil {
			return length, err
		}
		length += size
		end, err := s.r.Peek(2)
		if err != nil {
			return length, err
		}
		if string(end) != "\r\n" {
			return length, fmt.Errorf("%q after a chunk", end)
		}
		_, _ = s.r.Discard(2)
		if size == 0 {
			return length, nil
		}
	}
}

// finish closes a connection that is for one exchange, after the front has.
func (s *session) finish() error {
	defer s.Close()
	if s.order.Protocol == TCP {
		return nil
	}
	n, err := io.Copy(io.Discard, s.r)
	if err == nil && n > 0 {
		err = fmt.Errorf("%d bytes after the answer", n)
	}
	return err
}
