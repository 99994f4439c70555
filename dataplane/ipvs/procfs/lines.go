package procfs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// ErrFormat means that the file is not as the kernels write it that this package knows.
var ErrFormat = errors.New("the table has an unknown form")

// maxLine is more than the longest line: a connection with IPv6 addresses and 255 bytes of a
// persistence engine's data.
const maxLine = 1024

// readBuffer is a multiple of what the kernel gives out at a time, one page.
const readBuffer = 16 << 10

// lines counts the lines of a reader.
type lines struct {
	r      *bufio.Reader
	number int
}

func newLines(r io.Reader) *lines { return &lines{r: bufio.NewReaderSize(r, readBuffer)} }

// next returns the next line without its end, valid until the next call; io.EOF after the last.
func (l *lines) next() ([]byte, error) {
	line, err := l.r.ReadSlice('\n')
	switch {
	case err == io.EOF && len(line) == 0:
		return nil, io.EOF
	case err == io.EOF:
		l.number++
		return nil, l.fault("the last line has no end")
	case errors.Is(err, bufio.ErrBufferFull), err == nil && len(line) > maxLine:
		l.number++
		return nil, l.fault("it is longer than a line can be")
	case err != nil:
		return nil, fmt.Errorf("ipvs: read the table after line %d: %w", l.number, err)
	}
	l.number++
	return line[:len(line)-1], nil
}

// fault names the line without its content, which may be a client's address.
func (l *lines) fault(what string) error {
	return fmt.Errorf("ipvs: %w: line %d: %s", ErrFormat, l.number, what)
}
