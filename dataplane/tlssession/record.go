package tlssession

import "fmt"

// Sizes of the record layer (RFC 8446 5.1 and 5.2, RFC 5246 6.2.3).
const (
	recordHeader = 5
	maxPlaintext = 16 << 10
	// MaxRecord is the most bytes of one record with its header: TLS 1.2 allows 2,048 bytes of
	// expansion. crypto/tls holds TLS 1.3 to its 256.
	MaxRecord = recordHeader + maxPlaintext + 2048
	// recordOverhead is the most that a record we write has beside its plaintext: header, explicit
	// nonce or IV, tag or MAC with padding, content type.
	recordOverhead = 5 + 16 + 48 + 16 + 1
)

// Content types of records (RFC 8446 B.1).
const (
	typeChangeCipherSpec = 20
	typeAlert            = 21
	typeHandshake        = 22
	typeApplicationData  = 23
)

// recordSize returns the size of the record that begins with b, header included; 0: its header is
// not complete yet. It judges every byte of the header that is there. first is the first record of
// a session, where what is no TLS at all is told by its first byte.
func recordSize(b []byte, first bool) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	if first && b[0] != typeHandshake && b[0] != typeAlert {
		return 0, notTLS(b[0])
	}
	if b[0] < typeChangeCipherSpec || b[0] > typeApplicationData {
		return 0, &Error{Reason: Protocol, Err: fmt.Errorf("record of unknown type %d", b[0])}
	}
	if len(b) > 1 && b[1] != 3 || len(b) > 2 && b[2] > 4 {
		return 0, &Error{Reason: Protocol, Err: fmt.Errorf("record of unknown version %#x", b[1:min(len(b), 3)])}
	}
	if len(b) < recordHeader {
		return 0, nil
	}
	n := recordHeader + int(b[3])<<8 + int(b[4])
	if n > MaxRecord {
		return 0, &Error{Reason: Protocol, Err: fmt.Errorf("record of %d bytes, at most %d are allowed", n, MaxRecord)}
	}
	return n, nil
}

// notTLS says what a first byte looks like that begins no TLS session.
func notTLS(b byte) error {
	looks := fmt.Sprintf("the first byte is %#02x", b)
	switch {
	case b >= 'A' && b <= 'Z':
		looks = "it looks like text in clear, such as HTTP or a PROXY protocol header"
	case b == 0x01:
		looks = "it looks like DICOM in clear (A-ASSOCIATE-RQ)"
	case b == 0x0b:
		looks = "it looks like HL7 over MLLP in clear"
	case b == 0x0d:
		looks = "it looks like a PROXY protocol header, version 2"
	case b >= 0x80:
		looks = "it may be SSL 2.0, which no longer is supported"
	}
	return &Error{Reason: NotTLS, Err: fmt.Errorf("%s", looks)}
}
