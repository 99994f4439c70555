// Package printed keeps what processes, logs and goroutines of a test print. It imports the standard library alone.
package printed

import (
	"bytes"
	"sync"
)

// Text is an io.Writer that several may write to while others read it; the zero value is ready.
type Text struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

// Write adds to it.
func (t *Text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buffer.Write(p)
}

// String returns all that was printed.
func (t *Text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buffer.String()
}
