package dicom

import (
	"bytes"
	"fmt"
	"strings"
)

// aeLength is the width of an AE title field in bytes (PS3.8 tables 9-11 and 9-17).
const aeLength = 16

// AETitle is an application entity title without its insignificant spaces: 1 to 16 characters.
// Titles compare exactly, case included.
type AETitle string

// ParseAETitle checks s against value representation AE (PS3.5 table 6.2-1): at most 16 characters
// of printable ASCII, no backslash, no control character, not only spaces. Spaces at either end
// are not significant and are removed. The error says what is wrong with s, in words that can
// follow the name of the field that holds it.
func ParseAETitle(s string) (AETitle, error) {
	if len(s) > aeLength {
		return "", fmt.Errorf("%q has %d bytes, an AE title has at most %d: %w", s, len(s), aeLength, ErrInvalidAETitle)
	}
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '\\' {
			return "", fmt.Errorf("%q holds the character %q, use printable ASCII without backslash: %w", s, c, ErrInvalidAETitle)
		}
	}
	title := strings.Trim(s, " ")
	if title == "" {
		return "", fmt.Errorf("%q is empty, write 1 to %d characters: %w", s, aeLength, ErrInvalidAETitle)
	}
	return AETitle(title), nil
}

// Field returns the title as it stands in a PDU, padded with spaces.
// The title must have come from ParseAETitle; anything past 16 bytes is cut.
func (t AETitle) Field() AEField {
	f := AEField(bytes.Repeat([]byte{' '}, aeLength))
	copy(f[:], t)
	return f
}

// AEField is the 16 bytes of an AE title in an association PDU, as received.
type AEField [aeLength]byte

// Title returns the field's title or why it is none. Zero bytes at the end count as padding:
// PS3.8 wants spaces there, but common toolkits take such a field as a C string and accept it.
func (f AEField) Title() (AETitle, error) {
	return ParseAETitle(string(bytes.TrimRight(f[:], "\x00")))
}

// String returns the field for display, with every byte that is no printable ASCII shown as a
// question mark.
func (f AEField) String() string { return printable(bytes.Trim(f[:], " \x00")) }

// printable copies text of a peer so that it cannot carry control characters into a log.
func printable(b []byte) string {
	out := bytes.Clone(b)
	for i, c := range out {
		if c < ' ' || c > '~' {
			out[i] = '?'
		}
	}
	return string(out)
}
