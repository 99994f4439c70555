package proxyproto

import (
	"bytes"
	"net/netip"
	"strconv"
)

const (
	// maxLine is the most bytes in a line, its end included.
	maxLine = 107
	prefix  = "PROXY "
	unknown = "UNKNOWN"
)

func parseLine(b []byte) (h Header, n int, err error) {
	if !begins(b, prefix) {
		return Header{}, 0, errNoHeader
	}
	n, err = line(b[:min(len(b), maxLine)])
	if n == 0 || err != nil {
		return Header{}, 0, err
	}
	h, err = parseFields(b[len(prefix) : n-2])
	if err != nil {
		return Header{}, 0, err
	}
	return h, n, nil
}

// line is the length of the line that b begins with, its end included; 0: more has to come.
func line(b []byte) (int, error) {
	switch i := bytes.IndexAny(b, "\r\n"); {
	case i < 0 && len(b) == maxLine:
		return 0, errLong
	case i < 0:
		return 0, nil
	case b[i] == '\n':
		return 0, errLineEnd
	case i+1 < len(b) && b[i+1] != '\n':
		return 0, errLineEnd
	case i+1 < len(b):
		return i + 2, nil
	case len(b) == maxLine:
		return 0, errLong
	}
	return 0, nil
}

func parseFields(line []byte) (Header, error) {
	h := Header{Version: V1}
	protocol, rest, more := bytes.Cut(line, []byte{' '})
	switch string(protocol) {
	case unknown:
		return h, nil
	case "TCP4", "TCP6":
	default:
		return h, errProtocol
	}
	var fields [4][]byte
	for i := range fields {
		if !more {
			return h, errFields
		}
		fields[i], rest, more = bytes.Cut(rest, []byte{' '})
	}
	if more {
		return h, errFields
	}
	family4 := protocol[3] == '4'
	source, ok := parseAddress(fields[0], family4)
	destination, ok2 := parseAddress(fields[1], family4)
	if !ok || !ok2 {
		return h, errAddress
	}
	from, ok := parsePort(fields[2])
	to, ok2 := parsePort(fields[3])
	if !ok || !ok2 {
		return h, errPort
	}
	h.Source, h.Destination = netip.AddrPortFrom(source, from), netip.AddrPortFrom(destination, to)
	return h, nil
}

func parseAddress(b []byte, family4 bool) (netip.Addr, bool) {
	a, err := netip.ParseAddr(string(b))
	return a, err == nil && a.Is4() == family4 && a.Zone() == ""
}

func parsePort(b []byte) (uint16, bool) {
	if len(b) == 0 || len(b) > 5 || len(b) > 1 && b[0] == '0' {
		return 0, false
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return uint16(n), n <= 65535
}

func appendLine(dst []byte, source, destination netip.AddrPort) []byte {
	dst = append(dst, prefix...)
	if !source.IsValid() || !destination.IsValid() {
		return append(dst, unknown+"\r\n"...)
	}
	if is4(source, destination) {
		dst = append(dst, "TCP4"...)
		dst = source.Addr().Unmap().AppendTo(append(dst, ' '))
		dst = destination.Addr().Unmap().AppendTo(append(dst, ' '))
	} else {
		dst = append(dst, "TCP6"...)
		dst = netip.AddrFrom16(source.Addr().As16()).AppendTo(append(dst, ' '))
		dst = netip.AddrFrom16(destination.Addr().As16()).AppendTo(append(dst, ' '))
	}
	dst = strconv.AppendUint(append(dst, ' '), uint64(source.Port()), 10)
	dst = strconv.AppendUint(append(dst, ' '), uint64(destination.Port()), 10)
	return append(dst, "\r\n"...)
}
