package changes

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"syscall"
)

// edit is a change of the manifest, and how a client sees that it is in force.
type edit struct {
	name string
	// change makes change n of what is there.
	change func(c *configuration, n uint64)
	// seen returns why a client does not see it; before is what was in force before.
	seen func(w *world, before configuration) error
}

// edits are the kinds of edits; most put in and take out in turn.
func edits() []edit {
	return []edit{
		{"header", func(c *configuration, _ uint64) { c.Mark++ }, (*world).seesMark},
		{"route", func(c *configuration, n uint64) { c.Route = inTurn(c.Route, int(n)) }, (*world).seesRoute},
		{"listener", func(c *configuration, n uint64) { c.Port = inTurn(c.Port, uint16(8000+n%1000)) }, (*world).seesPort},
		{"weight", func(c *configuration, _ uint64) { c.Heavy = !c.Heavy }, (*world).seesWeight},
		{"server", func(c *configuration, _ uint64) { c.Third = !c.Third }, (*world).seesMembers},
		{"drain", func(c *configuration, _ uint64) { c.Draining = !c.Draining }, (*world).seesMembers},
		{"server of streams", func(c *configuration, _ uint64) { c.SecondStream = !c.SecondStream }, (*world).seesStreams},
	}
}

// editOf is the kind of change n: of each seven in succession each kind is one, in an order that seed chooses.
func editOf(seed, n uint64) edit {
	all := edits()
	size := uint64(len(all))
	order := rand.New(rand.NewPCG(seed, n/size)).Perm(len(all))
	return all[order[n%size]]
}

// inTurn is there after not being there.
func inTurn[T comparable](now, there T) T {
	var none T
	if now == none {
		return there
	}
	return none
}

// asker asks again and again on one connection.
type asker struct {
	net.Conn
	r *bufio.Reader
}

func (w *world) asker(dial func(port uint16) (net.Conn, error), port uint16) (*asker, error) {
	c, err := dial(port)
	if err != nil {
		return nil, err
	}
	return &asker{c, bufio.NewReader(c)}, nil
}

// dialTLS connects to a port of TLS.
func (w *world) dialTLS(port uint16) (net.Conn, error) {
	c, err := w.dial(port)
	if err != nil {
		return nil, err
	}
	client := tls.Client(c, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"http/1.1"}})
	if err := client.Handshake(); err != nil {
		c.Close()
		return nil, err
	}
	return client, nil
}

// ask returns the header of an answer: 200, or an error.
func (a *asker) ask(path string) (http.Header, error) {
	if _, err := fmt.Fprintf(a, "GET %s HTTP/1.1\r\nHost: pacs.example.org\r\n\r\n", path); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(a.r, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("GET %s: %s", path, answer.Status)
	}
	return answer.Header, nil
}

// serves asks once, on a connection of its own.
func (w *world) serves(dial func(port uint16) (net.Conn, error), port uint16) error {
	_, err := w.answers(dial, port, "/", 1)
	return err
}

// answers asks a number of times and returns how often each server answered.
func (w *world) answers(dial func(port uint16) (net.Conn, error), port uint16, path string, times int) (map[string]int, error) {
	a, err := w.asker(dial, port)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	from := map[string]int{}
	for range times {
		header, err := a.ask(path)
		if err != nil {
			return nil, err
		}
		from[header.Get("X-Server")]++
	}
	return from, nil
}

func (w *world) seesMark(configuration) error {
	a, err := w.asker(w.dialTLS, 443)
	if err != nil {
		return err
	}
	defer a.Close()
	header, err := a.ask("/marked/x")
	if err != nil {
		return err
	}
	if got, want := header.Get("X-Mark"), fmt.Sprint(w.configuration.Mark); got != want {
		return fmt.Errorf("the server was told %q, not %q", got, want)
	}
	return nil
}

// seesRoute asks for a path that only a route sends to server b; without it server a answers.
func (w *world) seesRoute(before configuration) error {
	path, want := fmt.Sprintf("/route/%d/x", w.configuration.Route), "b"
	if w.configuration.Route == 0 {
		path, want = fmt.Sprintf("/route/%d/x", before.Route), "a"
	}
	from, err := w.answers(w.dial, 80, path, 1)
	if err == nil && from[want] != 1 {
		err = fmt.Errorf("%s was answered by %v, not by %s", path, from, want)
	}
	return err
}

// seesPort asks at a port that is there, or is refused at one that is not.
func (w *world) seesPort(before configuration) error {
	port := max(before.Port, w.configuration.Port)
	err := w.serves(w.dial, port)
	if w.configuration.Port == port {
		return err
	}
	if err == nil {
		return fmt.Errorf("port %d still answers", port)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("port %d does not refuse: %w", port, err)
	}
	return nil
}

func (w *world) seesWeight(configuration) error {
	const times = 12
	from, err := w.answers(w.dial, 80, "/weighted/x", times)
	if err != nil {
		return err
	}
	if b := from["b"]; w.configuration.Heavy != (b > times/2) {
		return fmt.Errorf("b answered %d of %d, with most of the weight: %t", b, times, w.configuration.Heavy)
	}
	return nil
}

// seesMembers wants every server that takes requests to answer, and no other.
func (w *world) seesMembers(configuration) error {
	from, err := w.answers(w.dial, 80, "/members/x", 16)
	if err != nil {
		return err
	}
	c := w.configuration
	for name, want := range map[string]bool{"a": true, "b": !c.Draining, "c": c.Third} {
		if want != (from[name] > 0) {
			return fmt.Errorf("of 16 requests %v answered; %s belongs to them: %t", from, name, want)
		}
	}
	return nil
}

// seesStreams wants the second server among 8 connections if it is one.
func (w *world) seesStreams(configuration) error {
	from := map[string]bool{}
	for range 8 {
		name, err := w.streamServer()
		if err != nil {
			return err
		}
		from[name] = true
	}
	if !from["a"] || from["b"] != w.configuration.SecondStream {
		return fmt.Errorf("of 8 connections %v had some; b belongs to them: %t", from, w.configuration.SecondStream)
	}
	return nil
}

// streams makes one connection to a server of streams.
func (w *world) streams() error { _, err := w.streamServer(); return err }

// streamServer is the server that a new connection gets.
func (w *world) streamServer() (string, error) {
	c, err := w.dial(9000)
	if err != nil {
		return "", err
	}
	defer c.Close()
	line, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(line), err
}
