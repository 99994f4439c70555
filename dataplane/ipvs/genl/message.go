package genl

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// message is one netlink message (linux/netlink.h, struct nlmsghdr) within a datagram.
type message struct {
	kind, flags uint16
	seq, port   uint32
	body        []byte
}

// cutMessage splits the first message off a datagram.
func cutMessage(b []byte) (m message, rest []byte, err error) {
	if len(b) < messageHeader {
		return m, nil, fmt.Errorf("%w: %d bytes are left where a message should begin", ErrAnswer, len(b))
	}
	length := uint64(binary.NativeEndian.Uint32(b))
	if length < messageHeader || length > uint64(len(b)) {
		return m, nil, fmt.Errorf("%w: a message claims %d of %d bytes", ErrAnswer, length, len(b))
	}
	m = message{
		kind:  binary.NativeEndian.Uint16(b[4:]),
		flags: binary.NativeEndian.Uint16(b[6:]),
		seq:   binary.NativeEndian.Uint32(b[8:]),
		port:  binary.NativeEndian.Uint32(b[12:]),
		body:  b[messageHeader:length],
	}
	return m, b[min(align(int(length)), len(b)):], nil
}

// data returns the command and the attributes of a message of a family.
func (m message) data() (command Command, payload []byte, err error) {
	if len(m.body) < genericHeader {
		return 0, nil, fmt.Errorf("%w: a message without a command", ErrAnswer)
	}
	return Command(m.body[0]), m.body[genericHeader:], nil
}

// status returns what NLMSG_ERROR or NLMSG_DONE says: 0 for success, and the kernel's own words
// where it has any (NLMSGERR_ATTR_MSG).
func (m message) status() (errno unix.Errno, text string, err error) {
	if m.kind == unix.NLMSG_DONE && len(m.body) == 0 {
		return 0, "", nil
	}
	if len(m.body) < 4 {
		return 0, "", fmt.Errorf("%w: a status of %d bytes", ErrAnswer, len(m.body))
	}
	code := int32(binary.NativeEndian.Uint32(m.body))
	// The end of a dump may carry a count; errors are -1 to -4095 (linux/err.h, MAX_ERRNO).
	if code >= 0 && m.kind == unix.NLMSG_DONE {
		return 0, "", nil
	}
	if code > 0 || code < -4095 {
		return 0, "", fmt.Errorf("%w: status %d", ErrAnswer, code)
	}
	return unix.Errno(-code), m.text(), nil
}

// text finds the kernel's words behind the request's header, and behind all of the request unless
// it is left out (NLM_F_CAPPED). They help to understand; one that cannot be read is left out.
func (m message) text() string {
	if m.flags&unix.NLM_F_ACK_TLVS == 0 || m.kind != unix.NLMSG_ERROR || len(m.body) < 4+messageHeader {
		return ""
	}
	skip := uint64(messageHeader)
	if m.flags&unix.NLM_F_CAPPED == 0 {
		skip = (uint64(binary.NativeEndian.Uint32(m.body[4:])) + 3) &^ 3
	}
	if skip > uint64(len(m.body)-4) {
		return ""
	}
	a := attributes{rest: m.body[4+skip:]}
	for kind, value, ok := a.next(0); ok; kind, value, ok = a.next(0) {
		if kind == unix.NLMSGERR_ATTR_MSG {
			return printable(bytes.TrimRight(value, "\x00"))
		}
	}
	return ""
}

// printable returns up to 200 bytes of ASCII with everything else as a question mark.
func printable(b []byte) string {
	b = bytes.Clone(b[:min(len(b), 200)])
	for i, c := range b {
		if c < ' ' || c > '~' {
			b[i] = '?'
		}
	}
	return string(b)
}
