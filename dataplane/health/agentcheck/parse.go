package agentcheck

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// MaxLine is the most bytes of an answer, line end included.
const MaxLine = 512

// MaxPercent is the greatest weight, in per cent of the configured one.
const MaxPercent = 256

// maxConnections bounds maxconn to what a 31-bit counter holds.
const maxConnections = 1<<31 - 1

// Errors of Line and Parse; they hold nothing that the agent sent.
var (
	ErrTooLong       = errors.New("the answer has no line end within 512 bytes")
	ErrEmpty         = errors.New("the answer is empty")
	ErrNotASCII      = errors.New("the answer holds characters that are not printable ASCII")
	ErrUnknownWord   = errors.New("the answer holds a word that the protocol does not know")
	ErrOutOfRange    = errors.New("the answer holds a number out of range")
	ErrContradiction = errors.New("the answer contradicts itself")
)

// Admin is the administrative state that an agent asks for.
type Admin uint8

// Administrative states; the order is from lax to strict.
const (
	AdminUnsaid Admin = iota
	Ready
	Drain
	Maintenance
)

// Operation is what an agent says of the service.
type Operation uint8

// Operational states. Down, fail and stopped are one: HAProxy treats them alike.
const (
	OperationUnsaid Operation = iota
	Up
	Down
)

// Reply is one answer. What it does not mention stays as earlier answers left it.
type Reply struct {
	// HasPercent says that Percent was mentioned: 0 to 256 per cent of the configured weight.
	HasPercent bool
	Percent    int
	// HasMaxConnections says that MaxConnections was mentioned.
	HasMaxConnections bool
	MaxConnections    int
	Admin             Admin
	Operation         Operation
	// Message is the text behind #, for the administrator.
	Message string
}

// Line finds the answer's line in what has been received: up to the first CR, LF or NUL, or all of
// it once the agent has closed. Complete is false while more must be read. ErrTooLong, ErrEmpty.
func Line(received []byte, closed bool) (line []byte, complete bool, err error) {
	if i := bytes.IndexAny(received, "\r\n\x00"); i >= 0 && i < MaxLine {
		received, complete = received[:i], true
	}
	switch {
	case len(received) >= MaxLine:
		return nil, true, ErrTooLong
	case !complete && !closed:
		return nil, false, nil
	case len(received) == 0:
		return nil, true, ErrEmpty
	}
	return received, true, nil
}

// Parse reads one line without its end.
func Parse(line []byte) (Reply, error) {
	var r Reply
	if len(line) >= MaxLine {
		return r, ErrTooLong
	}
	for _, c := range line {
		if c != '\t' && (c < ' ' || c > '~') {
			return r, ErrNotASCII
		}
	}
	text, message, _ := strings.Cut(string(line), "#")
	words := strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == '\t' || c == ',' })
	if len(words) == 0 {
		return r, ErrEmpty
	}
	for _, w := range words {
		if err := r.take(strings.ToLower(w)); err != nil {
			return Reply{}, err
		}
	}
	r.Message = strings.TrimSpace(message)
	return r, nil
}

func (r *Reply) take(word string) error {
	switch word {
	case "ready":
		return once(&r.Admin, Ready)
	case "drain":
		return once(&r.Admin, Drain)
	case "maint":
		return once(&r.Admin, Maintenance)
	case "up":
		return once(&r.Operation, Up)
	case "down", "fail", "failed", "stopped":
		return once(&r.Operation, Down)
	}
	if digits, ok := strings.CutSuffix(word, "%"); ok {
		return number(digits, MaxPercent, &r.HasPercent, &r.Percent)
	}
	if digits, ok := strings.CutPrefix(word, "maxconn:"); ok {
		return number(digits, maxConnections, &r.HasMaxConnections, &r.MaxConnections)
	}
	return ErrUnknownWord
}

func once[T comparable](at *T, v T) error {
	var unsaid T
	if *at != unsaid && *at != v {
		return ErrContradiction
	}
	*at = v
	return nil
}

func number(digits string, most int, has *bool, at *int) error {
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return ErrUnknownWord
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n > most {
		return fmt.Errorf("%w: at most %d", ErrOutOfRange, most)
	}
	if *has && *at != n {
		return ErrContradiction
	}
	*has, *at = true, n
	return nil
}

// State is what an agent has said so far. The zero value: nothing.
type State struct {
	// Weighted says that Percent holds.
	Weighted bool
	Percent  int
	Admin    Admin
	// Down is sticky: only "up" lifts it.
	Down bool
}

// Take returns the state after a reply.
func (s State) Take(r Reply) State {
	if r.HasPercent {
		s.Weighted, s.Percent = true, r.Percent
	}
	if r.Admin != AdminUnsaid {
		s.Admin = r.Admin
	}
	if r.Operation != OperationUnsaid {
		s.Down = r.Operation == Down
	}
	return s
}

// Stricter joins what two agents of one server say: the lower weight, the stricter state.
func (s State) Stricter(o State) State {
	if o.Weighted && (!s.Weighted || o.Percent < s.Percent) {
		s.Weighted, s.Percent = true, o.Percent
	}
	s.Admin = max(s.Admin, o.Admin)
	s.Down = s.Down || o.Down
	return s
}
