package agentcheck

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	cases := map[string]struct {
		line string
		want Reply
		err  error
	}{
		"weight":             {line: "75%", want: Reply{HasPercent: true, Percent: 75}},
		"zero weight":        {line: "0%", want: Reply{HasPercent: true}},
		"most":               {line: "256%", want: Reply{HasPercent: true, Percent: 256}},
		"too much":           {line: "257%", err: ErrOutOfRange},
		"overflow":           {line: "99999999999999999999%", err: ErrOutOfRange},
		"negative":           {line: "-1%", err: ErrUnknownWord},
		"no number":          {line: "%", err: ErrUnknownWord},
		"all together":       {line: "UP, ready\t50%  maxconn:30 # cpu 50", want: Reply{true, 50, true, 30, Ready, Up, "cpu 50"}},
		"down with a reason": {line: "down # disk full, 99%", want: Reply{Operation: Down, Message: "disk full, 99%"}},
		"fail":               {line: "fail", want: Reply{Operation: Down}},
		"stopped":            {line: "Stopped", want: Reply{Operation: Down}},
		"drain":              {line: "drain", want: Reply{Admin: Drain}},
		"maint":              {line: "maint", want: Reply{Admin: Maintenance}},
		"said twice":         {line: "up up 5% 5%", want: Reply{Operation: Up, HasPercent: true, Percent: 5}},
		"contradiction":      {line: "up down", err: ErrContradiction},
		"two weights":        {line: "5% 6%", err: ErrContradiction},
		"weight without %":   {line: "ready 100", err: ErrUnknownWord},
		"empty":              {line: " , ", err: ErrEmpty},
		"only a message":     {line: "#hello", err: ErrEmpty},
		"binary":             {line: "up\x01", err: ErrNotASCII},
		"another protocol":   {line: "HTTP/1.1 400 Bad Request", err: ErrUnknownWord},
		"long":               {line: strings.Repeat("up ", 200), err: ErrTooLong},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Parse([]byte(tc.line))
			if diff := cmp.Diff(tc.want, got); diff != "" || !errors.Is(err, tc.err) {
				t.Errorf("error %v, want %v; %s", err, tc.err, diff)
			}
		})
	}
}

func TestLine(t *testing.T) {
	cases := map[string]struct {
		received string
		closed   bool
		line     string
		complete bool
		err      error
	}{
		"LF":           {received: "up\nmore", line: "up", complete: true},
		"CRLF":         {received: "up\r\n", line: "up", complete: true},
		"not yet":      {received: "u"},
		"closed":       {received: "up", closed: true, line: "up", complete: true},
		"nothing":      {closed: true, complete: true, err: ErrEmpty},
		"blank line":   {received: "\n", complete: true, err: ErrEmpty},
		"never ending": {received: strings.Repeat("x", MaxLine), complete: true, err: ErrTooLong},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			line, complete, err := Line([]byte(tc.received), tc.closed)
			if string(line) != tc.line || complete != tc.complete || !errors.Is(err, tc.err) {
				t.Errorf("%q %v %v", line, complete, err)
			}
		})
	}
}

func TestStateKeepsWhatIsNotMentioned(t *testing.T) {
	var s State
	for _, step := range []struct {
		line string
		want State
	}{
		{"75%", State{Weighted: true, Percent: 75}},
		{"drain", State{true, 75, Drain, false}},
		{"down", State{true, 75, Drain, true}},
		{"50% ready", State{true, 50, Ready, true}},
		{"up", State{true, 50, Ready, false}},
	} {
		r, err := Parse([]byte(step.line))
		if err != nil {
			t.Fatal(err)
		}
		if s = s.Take(r); s != step.want {
			t.Fatalf("after %q: %+v, want %+v", step.line, s, step.want)
		}
	}
}

// FuzzParse: no input panics, and what is accepted is within bounds and says something.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"75%\n", "up ready 100% maxconn:3 #x\r\n", "down#disk", "DRAIN,0%", "", "\x00", "1%2%"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		line, complete, err := Line(b, true)
		if !complete {
			t.Fatal("a closed answer is not complete")
		}
		if err != nil {
			return
		}
		r, err := Parse(line)
		if err != nil {
			if r != (Reply{}) {
				t.Fatalf("error with a reply: %+v", r)
			}
			return
		}
		said := r.HasPercent || r.HasMaxConnections || r.Admin != AdminUnsaid || r.Operation != OperationUnsaid
		if r.Percent < 0 || r.Percent > MaxPercent || !said || len(r.Message) >= MaxLine || bytes.ContainsAny(line, "\r\n") {
			t.Fatalf("%q gave %+v", b, r)
		}
	})
}
