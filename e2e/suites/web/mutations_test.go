package web

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/suite"
)

// pieces are what mutations put in.
var pieces = []string{
	"\r", "\n", "\r\n", "\n\r", "\r\n ", "\r\n\r\n", "\x00", " ", "\t", "\v", "\f", "\x1c", "\x7f", "\x85", "\xa0", "\xff", ":", ",", ";", "\"", "#", "%", "*", "+", "-", "/", "0", "1", "5", "9", "=", "?", "@", "\\", "_", "a",
	"0x", "http://a", "HTTP/1.1", "chunked", ", chunked", "identity", "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "Host: b\r\n", "Connection: close\r\n", "Connection: Upgrade\r\n",
	"Upgrade: h2c\r\n", "Expect: 100-continue\r\n", "0\r\n\r\n", "5\r\nhello\r\n", "GET /x HTTP/1.1\r\n",
}

// mutate changes a request in one or two places.
func mutate(r *rand.Rand, wire string) string {
	for range 1 + r.IntN(2) {
		at := r.IntN(len(wire) + 1)
		switch r.IntN(6) {
		case 0, 1:
			wire = wire[:at] + pieces[r.IntN(len(pieces))] + wire[at:]
		case 2:
			wire = wire[:at] + wire[min(len(wire), at+1+r.IntN(3)):]
		case 3:
			if at < len(wire) {
				wire = wire[:at] + pieces[r.IntN(len(pieces))] + wire[at+1:]
			}
		default:
			wire = mutateLines(r, wire)
		}
	}
	return wire
}

// mutateLines repeats, drops or moves a line, or ends it otherwise.
func mutateLines(r *rand.Rand, wire string) string {
	all := strings.SplitAfter(wire, "\n")
	i, j := r.IntN(len(all)), r.IntN(len(all))
	switch r.IntN(5) {
	case 0:
		all = slices.Insert(all, j, all[i])
	case 1:
		all = slices.Delete(all, i, i+1)
	case 2:
		all[i], all[j] = all[j], all[i]
	case 3:
		all[i] = strings.Replace(all[i], "\r\n", "\n", 1)
	default:
		all[i] = strings.Replace(all[i], "\r\n", "\r", 1)
	}
	return strings.Join(all, "")
}

// TestMutationsAreReadInOneWay sends requests of all classes with small changes, each with a request behind it. Whatever
// comes of them: what reaches a server is clean and read by two other readers in the same way, they are as many requests as the
// client got answers from the server, and they have the content that net/http reads in what was sent.
func TestMutationsAreReadInOneWay(t *testing.T) {
	t.Parallel()
	plan, err := plan().Read()
	suite.Must(t, err)
	servers, entries := newEntries(t)
	good, bad := bases()
	refused, passed := 0, 0
	for n := plan.From; n <= plan.Last(); n++ {
		r := rand.New(rand.NewPCG(plan.Seed, n))
		base := good[r.IntN(len(good))]
		if r.IntN(4) == 0 {
			base = bad[r.IntN(len(bad))]
		}
		wire := mutate(r, base)
		servers.forget()
		source := net.IPv4(198, byte(18+n>>16&1), byte(n>>8), byte(n))
		c := entries[n%2].dialFrom(t, source)
		send(t, c, wire+trailing)
		statuses, closed := answersUpTo(c, 2, 200*time.Millisecond)
		read := servers.of(source)
		for ; len(read) > served(statuses) && !closed; read = servers.of(source) { // answers are on their way
			var more []int
			if more, closed = answersUpTo(c, len(read)-served(statuses), patience); len(more) == 0 {
				break
			}
			statuses = append(statuses, more...)
		}
		_ = c.Close()
		if err := errors.Join(judge(read, wire, statuses), servers.readAgain()); err != nil {
			t.Errorf("mutation %d of seed %d: %v\nsent %q\nanswers %v, closed %v", n, plan.Seed, err, wire, statuses, closed)
		}
		if len(read) == 0 {
			refused++
		} else {
			passed++
		}
	}
	if plan.Count >= 100 && (refused == 0 || passed == 0) {
		t.Errorf("%d refused, %d passed: the mutations are of one kind only", refused, passed)
	}
	suite.Verdict(t, "%d mutations of %d requests, numbers %d to %d of seed %d: of %d nothing was served, of %d something; all that reached a server was clean and read in one way",
		plan.Count, len(good)+len(bad), plan.From, plan.Last(), plan.Seed, refused, passed)
}

// bases are what is mutated: valid requests and ambiguous ones that are not long.
func bases() (good, bad []string) {
	for _, v := range allowed() {
		good = append(good, v.wire)
	}
	for _, a := range requests() {
		bad = append(bad, a.wire)
	}
	long := func(s string) bool { return len(s) > 4000 }
	return slices.DeleteFunc(good, long), slices.DeleteFunc(bad, long)
}

// served counts the answers of servers.
func served(statuses []int) (n int) {
	for _, s := range statuses {
		if s == 200 {
			n++
		}
	}
	return n
}

// of are the messages of a client, who has an address of its own: what is late is not taken for another's.
func (w *witness) of(client net.IP) []message {
	all, _ := w.seen()
	return slices.DeleteFunc(all, func(m message) bool { return m.field("X-Forwarded-For") != client.String() })
}

// judge says what is wrong with the messages that a mutation has come to.
func judge(messages []message, wire string, statuses []int) error {
	if n := served(statuses); n != len(messages) {
		return fmt.Errorf("the server read %d requests, the client got %d of its answers", len(messages), n)
	}
	for _, m := range messages {
		if err := m.clean(); err != nil {
			return fmt.Errorf("a server got what is not clean: %w\n%s", err, m.head)
		}
		if !strings.Contains(wire+trailing, m.method()+" ") {
			return fmt.Errorf("the server read a request that nobody sent: %q", m.head)
		}
	}
	return sameContent(messages, wire)
}

// latin1 makes a character of each octet, as expressions want them.
func latin1(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

var (
	cleanLine  = regexp.MustCompile(`^[!#$%&'*+\-.^_|~0-9A-Za-z` + "`" + `]+ [!-"$-~]+ HTTP/1\.1$`)
	cleanField = regexp.MustCompile("^[!#$%&'*+\\-.^_|~0-9A-Za-z`]+:[ \t]*([\\x21-\\x7e\\x80-\\xff]([\\t\\x20-\\x7e\\x80-\\xff]*[\\x21-\\x7e\\x80-\\xff])?)?$")
	h2c        = regexp.MustCompile(`(?i)(^|[ ,;/])h2c($|[ ,;/])`)
	digits     = regexp.MustCompile(`^[0-9]+$`)
)

// clean says what in a request is not as RFC 9112 wants it of a sender.
func (m message) clean() error {
	all := strings.Split(strings.TrimSuffix(m.head, "\r\n"), "\r\n")
	if !cleanLine.MatchString(latin1(all[0])) {
		return fmt.Errorf("request line %q", all[0])
	}
	count := map[string]int{}
	for _, l := range append(all[1:], strings.Split(strings.TrimSuffix(m.trailers, "\r\n"), "\r\n")...) {
		if l != "" && !cleanField.MatchString(latin1(l)) {
			return fmt.Errorf("field line %q", l)
		}
		name, value, _ := strings.Cut(l, ":")
		name, value = strings.ToLower(name), strings.TrimSpace(value)
		count[name]++
		if name == "content-length" && !digits.MatchString(value) || name == "transfer-encoding" && value != "chunked" || name == "upgrade" && h2c.MatchString(value) {
			return fmt.Errorf("field line %q", l)
		}
	}
	if count["host"] != 1 || count["content-length"]+count["transfer-encoding"] > 1 {
		return errors.New("not one Host, or more than one length")
	}
	return nil
}

// readAgain has net/http read what the witness read.
func (w *witness) readAgain() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range w.conns {
		r := bufio.NewReader(bytes.NewReader(v.got[:v.read]))
		for _, m := range v.messages {
			request, err := http.ReadRequest(r)
			if err != nil {
				return fmt.Errorf("net/http does not read what the server got: %w\n%s", err, m.head)
			}
			body, err := io.ReadAll(request.Body)
			if line := request.Method + " " + request.RequestURI + " " + request.Proto; err != nil || line != m.line() || string(body) != m.body {
				return fmt.Errorf("net/http reads %q with %d bytes, %w, the server %q with %d bytes", line, len(body), err, m.line(), len(m.body))
			}
		}
		if _, err := r.Peek(1); err != io.EOF {
			return errors.New("net/http ends before the server does")
		}
	}
	return nil
}

// sameContent compares the first request that reached a server with what net/http reads in what was sent, if it does.
func sameContent(messages []message, wire string) error {
	method, body, ok := readPlain(wire)
	if len(messages) == 0 || !ok {
		return nil
	}
	if m := messages[0]; method != m.method() || body != m.body {
		return fmt.Errorf("sent were %s with %q, as net/http reads it, the server got %s with %q", method, body, m.method(), m.body)
	}
	return nil
}

// readPlain has net/http read a request with another one behind it; ok is false if it refuses to.
func readPlain(wire string) (method, body string, ok bool) {
	request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(strings.TrimPrefix(wire, "\r\n") + trailing)))
	if err != nil {
		return "", "", false
	}
	text, err := io.ReadAll(request.Body)
	return request.Method, string(text), err == nil
}

func (m message) method() string {
	method, _, _ := strings.Cut(m.head, " ")
	return method
}
