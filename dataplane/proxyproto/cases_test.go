package proxyproto_test

import (
	"encoding/binary"
	"hash/crc32"
	"net/netip"
	"strings"

	"github.com/truepacs/balancer/dataplane/proxyproto"
)

const signature = "\r\n\r\n\x00\r\nQUIT\n"

// v2 is a header of version 2 with the length that rest has.
func v2(command, family byte, rest ...string) string {
	all := strings.Join(rest, "")
	head := append([]byte(signature), command, family)
	return string(binary.BigEndian.AppendUint16(head, uint16(len(all)))) + all
}

func tlv(kind byte, value string) string {
	return string(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value)))) + value
}

// summed puts the right checksum in place of the four bytes #### that stand where it belongs.
func summed(header string) string {
	at := strings.Index(header, "####")
	b := []byte(header)
	copy(b[at:], "\x00\x00\x00\x00")
	binary.BigEndian.PutUint32(b[at:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	return string(b)
}

const (
	four = "\x0a\x00\x00\x01\xc0\x00\x02\x64\x04\xd2\x01\xbb"
	six  = "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01" +
		"\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x64\x04\xd2\x01\xbb"
)

func told(version proxyproto.Version, source, destination string) proxyproto.Header {
	return proxyproto.Header{
		Version: version, Source: netip.MustParseAddrPort(source), Destination: netip.MustParseAddrPort(destination),
	}
}

var (
	four1, four2 = told(1, "10.0.0.1:1234", "192.0.2.100:443"), told(2, "10.0.0.1:1234", "192.0.2.100:443")
	six1, six2   = told(1, "[2001:db8::1]:1234", "[2001:db8::64]:443"), told(2, "[2001:db8::1]:1234", "[2001:db8::64]:443")
	nothing1     = proxyproto.Header{Version: 1}
	nothing2     = proxyproto.Header{Version: 2}
)

var valid = map[string]struct {
	in   string
	want proxyproto.Header
}{
	"line, IPv4":              {"PROXY TCP4 10.0.0.1 192.0.2.100 1234 443\r\n", four1},
	"line, IPv6":              {"PROXY TCP6 2001:db8::1 2001:db8::64 1234 443\r\n", six1},
	"line, IPv6 in full":      {"PROXY TCP6 2001:0DB8:0000:0000:0000:0000:0000:0001 2001:db8:0:0:0:0:0:64 1234 443\r\n", six1},
	"line, mapped":            {"PROXY TCP6 ::ffff:10.0.0.1 2001:db8::64 1234 443\r\n", told(1, "[::ffff:10.0.0.1]:1234", "[2001:db8::64]:443")},
	"line, extreme ports":     {"PROXY TCP4 0.0.0.0 255.255.255.255 0 65535\r\n", told(1, "0.0.0.0:0", "255.255.255.255:65535")},
	"line, longest":           {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", told(1, "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535")},
	"line, unknown":           {"PROXY UNKNOWN\r\n", nothing1},
	"line, unknown and more":  {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", nothing1},
	"line, unknown and odd":   {"PROXY UNKNOWN \x00  nonsense \r\n", nothing1},
	"local":                   {v2(0x20, 0x00), nothing2},
	"local with addresses":    {v2(0x20, 0x11, four), nothing2},
	"local, family is odd":    {v2(0x20, 0xff, "abc"), nothing2},
	"IPv4":                    {v2(0x21, 0x11, four), four2},
	"IPv6":                    {v2(0x21, 0x21, six), six2},
	"datagrams":               {v2(0x21, 0x12, four), nothing2},
	"datagrams, IPv6":         {v2(0x21, 0x22, six), nothing2},
	"unix":                    {v2(0x21, 0x31, strings.Repeat("x", 216)), nothing2},
	"unix datagrams and TLV":  {v2(0x21, 0x32, strings.Repeat("x", 216), tlv(4, "")), nothing2},
	"unspecified":             {v2(0x21, 0x00), nothing2},
	"unspecified and more":    {v2(0x21, 0x00, "\x03\xff"), nothing2},
	"family, no transport":    {v2(0x21, 0x10, four), nothing2},
	"transport, no family":    {v2(0x21, 0x01, four), nothing2},
	"ALPN and authority":      {v2(0x21, 0x11, four, tlv(1, "h2"), tlv(2, "pacs.example.org")), four2},
	"no-op, empty":            {v2(0x21, 0x11, four, tlv(4, "")), four2},
	"unique ID":               {v2(0x21, 0x11, four, tlv(5, strings.Repeat("i", 128))), four2},
	"SSL":                     {v2(0x21, 0x11, four, tlv(0x20, "\x07\x00\x00\x00\x00"+tlv(0x21, "TLSv1.3")+tlv(0x22, "modality"))), four2},
	"network namespace":       {v2(0x21, 0x21, six, tlv(0x30, "blue")), six2},
	"a cloud's own":           {v2(0x21, 0x11, four, tlv(0xea, "\x01vpce-08d2bf15fac5001c9")), four2},
	"checksum":                {summed(v2(0x21, 0x11, four, tlv(3, "####"))), four2},
	"checksum before others":  {summed(v2(0x21, 0x21, six, tlv(3, "####"), tlv(4, strings.Repeat("\x00", 90)))), six2},
	"as large as may be":      {v2(0x21, 0x11, four, tlv(4, strings.Repeat("\x00", 4096-16-12-3))), four2},
	"local, wrong checksum":   {v2(0x20, 0x11, four, tlv(3, "abcd")), nothing2},
	"mapped in binary":        {v2(0x21, 0x21, strings.Repeat("\x00", 10)+"\xff\xff\x0a\x00\x00\x01", six[16:]), told(2, "[::ffff:10.0.0.1]:1234", "[2001:db8::64]:443")},
	"checksum of unix":        {summed(v2(0x21, 0x31, strings.Repeat("u", 216), tlv(3, "####"))), nothing2},
	"two that mean nothing":   {v2(0x21, 0x11, four, tlv(0xe0, "a"), tlv(0xe0, "b")), four2},
	"SSL without more":        {v2(0x21, 0x11, four, tlv(0x20, "\x00\x00\x00\x00\x01")), four2},
	"line, unknown, datagram": {"PROXY UNKNOWN UDP4\r\n", nothing1},
}

var invalid = map[string]struct{ in, says string }{
	"another protocol":          {"GET / HTTP/1.1\r\n", "does not begin"},
	"TLS":                       {"\x16\x03\x01\x02\x00", "does not begin"},
	"almost a line":             {"PROXZ TCP4 10.0.0.1 192.0.2.100 1234 443\r\n", "does not begin"},
	"lower case":                {"proxy TCP4 10.0.0.1 192.0.2.100 1234 443\r\n", "does not begin"},
	"tab":                       {"PROXY\tTCP4 10.0.0.1 192.0.2.100 1234 443\r\n", "does not begin"},
	"almost binary":             {"\r\n\r\n\x00\r\nQUIT\r", "does not begin"},
	"empty lines":               {"\r\n\r\nGET / HTTP/1.1\r\n", "does not begin"},
	"line feed alone":           {"PROXY TCP4 10.0.0.1 192.0.2.100 1234 443\n", "CR or LF"},
	"CR alone":                  {"PROXY TCP4 10.0.0.1 192.0.2.100 1234 443\rX", "CR or LF"},
	"CR within unknown":         {"PROXY UNKNOWN a\rb\r\n", "CR or LF"},
	"no end":                    {"PROXY UNKNOWN " + strings.Repeat("x", 93), "longer than 107"},
	"end is cut":                {"PROXY UNKNOWN " + strings.Repeat("x", 92) + "\r", "longer than 107"},
	"nothing":                   {"PROXY \r\n", "names a protocol"},
	"UDP":                       {"PROXY UDP4 10.0.0.1 192.0.2.100 1234 443\r\n", "names a protocol"},
	"unknown with a tail":       {"PROXY UNKNOWNS\r\n", "names a protocol"},
	"protocol in lower case":    {"PROXY tcp4 10.0.0.1 192.0.2.100 1234 443\r\n", "names a protocol"},
	"two spaces":                {"PROXY  TCP4 10.0.0.1 192.0.2.100 1234 443\r\n", "names a protocol"},
	"protocol only":             {"PROXY TCP4\r\n", "single spaces"},
	"one port":                  {"PROXY TCP4 10.0.0.1 192.0.2.100 1234\r\n", "single spaces"},
	"a space at the end":        {"PROXY TCP4 10.0.0.1 192.0.2.100 1234 443 \r\n", "single spaces"},
	"three ports":               {"PROXY TCP4 10.0.0.1 192.0.2.100 1234 443 80\r\n", "single spaces"},
	"two spaces between":        {"PROXY TCP4 10.0.0.1  192.0.2.100 1234 443\r\n", "single spaces"},
	"IPv6 in TCP4":              {"PROXY TCP4 2001:db8::1 192.0.2.100 1234 443\r\n", "address"},
	"IPv4 in TCP6":              {"PROXY TCP6 2001:db8::1 192.0.2.100 1234 443\r\n", "address"},
	"leading zero":              {"PROXY TCP4 10.0.0.01 192.0.2.100 1234 443\r\n", "address"},
	"three numbers":             {"PROXY TCP4 10.0.1 192.0.2.100 1234 443\r\n", "address"},
	"256":                       {"PROXY TCP4 10.0.0.256 192.0.2.100 1234 443\r\n", "address"},
	"zone":                      {"PROXY TCP6 fe80::1%eth0 2001:db8::64 1234 443\r\n", "address"},
	"two double colons":         {"PROXY TCP6 2001::db8::1 2001:db8::64 1234 443\r\n", "address"},
	"name":                      {"PROXY TCP4 localhost 192.0.2.100 1234 443\r\n", "address"},
	"port 65536":                {"PROXY TCP4 10.0.0.1 192.0.2.100 65536 443\r\n", "port"},
	"port with leading zero":    {"PROXY TCP4 10.0.0.1 192.0.2.100 01234 443\r\n", "port"},
	"port 00":                   {"PROXY TCP4 10.0.0.1 192.0.2.100 00 443\r\n", "port"},
	"signed port":               {"PROXY TCP4 10.0.0.1 192.0.2.100 +1234 443\r\n", "port"},
	"no port":                   {"PROXY TCP4 10.0.0.1 192.0.2.100  443\r\n", "port"},
	"hexadecimal port":          {"PROXY TCP4 10.0.0.1 192.0.2.100 0x4d 443\r\n", "port"},
	"version 1 in binary":       {v2(0x11, 0x11, four), "version"},
	"version 3":                 {v2(0x31, 0x11, four), "version"},
	"command 2":                 {v2(0x22, 0x11, four), "command"},
	"family 4":                  {v2(0x21, 0x41, four), "family"},
	"transport 3":               {v2(0x21, 0x13, four), "family"},
	"too large":                 {signature + "\x21\x11\x0f\xf1", "4096"},
	"too large, local":          {signature + "\x20\x00\xff\xff", "4096"},
	"IPv4 cut":                  {v2(0x21, 0x11, four[:11]), "shorter"},
	"IPv4 empty":                {v2(0x21, 0x11), "shorter"},
	"IPv4 datagrams cut":        {v2(0x21, 0x12, four[:11]), "shorter"},
	"IPv6 with IPv4":            {v2(0x21, 0x21, four), "shorter"},
	"unix cut":                  {v2(0x21, 0x31, strings.Repeat("x", 215)), "shorter"},
	"TLV of one byte":           {v2(0x21, 0x11, four, "\x01"), "beyond its end"},
	"TLV of two bytes":          {v2(0x21, 0x11, four, "\x01\x00"), "beyond its end"},
	"TLV too long":              {v2(0x21, 0x11, four, "\x01\x00\x03h2"), "beyond its end"},
	"second TLV too long":       {v2(0x21, 0x11, four, tlv(4, ""), "\x01\xff\xffh2"), "beyond its end"},
	"TLV too long after unix":   {v2(0x21, 0x31, strings.Repeat("x", 216), "\x04\x00\x01"), "beyond its end"},
	"SSL too short":             {v2(0x21, 0x11, four, tlv(0x20, "\x01\x00\x00\x00")), "beyond its end"},
	"SSL with a cut TLV":        {v2(0x21, 0x11, four, tlv(0x20, "\x01\x00\x00\x00\x00\x21\x00\x09TLSv1.3")), "beyond its end"},
	"checksum wrong":            {v2(0x21, 0x11, four, tlv(3, "\x00\x00\x00\x00")), "is not what"},
	"checksum of other bytes":   {strings.Replace(summed(v2(0x21, 0x11, four, tlv(3, "####"))), "\x0a\x00\x00\x01", "\x0a\x00\x00\x02", 1), "is not what"},
	"checksum of 3 bytes":       {v2(0x21, 0x11, four, tlv(3, "\x00\x00\x00")), "length other than 4"},
	"checksum twice":            {v2(0x21, 0x11, four, tlv(3, "abcd"), tlv(3, "abcd")), "or two"},
	"checksum wrong, datagrams": {v2(0x21, 0x12, four, tlv(3, "abcd")), "is not what"},
}
