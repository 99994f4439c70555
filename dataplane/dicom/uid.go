package dicom

import (
	"fmt"
	"strings"
)

// Unique identifiers that a C-ECHO needs (PS3.6 annex A).
const (
	// ApplicationContextUID is the DICOM application context name (PS3.7 annex A.2.1).
	ApplicationContextUID = "1.2.840.10008.3.1.1.1"
	// VerificationUID is the Verification SOP class (PS3.4 annex A).
	VerificationUID = "1.2.840.10008.1.1"
	// ImplicitVRLittleEndianUID is the default transfer syntax (PS3.5 annex A.1).
	ImplicitVRLittleEndianUID = "1.2.840.10008.1.2"
	// ExplicitVRLittleEndianUID is the explicit transfer syntax (PS3.5 annex A.2).
	ExplicitVRLittleEndianUID = "1.2.840.10008.1.2.1"
)

// Identity of this implementation in associations (PS3.7 annex D.3.3.2). The UID is derived from
// a random UUID (PS3.5 annex B.2) and never changes, whatever the version.
const (
	ImplementationClassUID    = "2.25.49446674716443790623024392273427603662"
	ImplementationVersionName = "TRUEPACS_LB"
)

// maxUIDLength is the longest UID in bytes (PS3.5 section 9.1).
const maxUIDLength = 64

// checkUID accepts 1 to 64 digits and dots without an empty component. Leading zeros in a
// component are against PS3.5 section 9.1, yet some devices in the field have them.
func checkUID(s string) error {
	if s == "" || len(s) > maxUIDLength {
		return fmt.Errorf("UID of %d bytes, 1 to %d allowed: %w", len(s), maxUIDLength, ErrMalformed)
	}
	last := byte('.')
	for i := range len(s) {
		if c := s[i]; c == '.' && last == '.' || c != '.' && (c < '0' || c > '9') {
			return errUID(s)
		}
		last = s[i]
	}
	if last == '.' {
		return errUID(s)
	}
	return nil
}

func errUID(s string) error {
	return fmt.Errorf("UID %q is not digits between dots: %w", printable([]byte(s)), ErrMalformed)
}

// parseUID reads a UID field. Padding with zero bytes or spaces is removed: PS3.8 annex F forbids
// it in association items, PS3.5 demands a zero byte in command elements, and devices mix the two.
func parseUID(b []byte) (string, error) {
	s := strings.TrimRight(string(b[:min(len(b), maxUIDLength+2)]), "\x00 ")
	if len(b) > maxUIDLength+2 {
		return "", fmt.Errorf("UID field of %d bytes: %w", len(b), ErrMalformed)
	}
	return s, checkUID(s)
}
