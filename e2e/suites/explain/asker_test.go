package explain

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"testing"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/suite"
)

// answer is what is looked at of an answer of truepacs explain -o json.
type answer struct {
	Outcome   string   `json:"outcome"`
	Service   string   `json:"service"`
	Server    *server  `json:"server"`
	DecidedBy string   `json:"decidedBy"`
	OneOf     []server `json:"oneOf"`
	Why       []string `json:"why"`
}

type server struct {
	Name    string         `json:"name"`
	Address netip.AddrPort `json:"address"`
}

// names tells whether an answer says that a server, by address, gets or may get the client.
func (a *answer) names(who netip.Addr) bool {
	if a.Server != nil {
		return a.Server.Address.Addr() == who
	}
	for _, s := range a.OneOf {
		if s.Address.Addr() == who {
			return true
		}
	}
	return false
}

// asker is a running truepacs explain on the director, which answers a question at a time.
type asker struct {
	in  io.Writer
	out *bufio.Scanner
}

func (w *world) asker(t *testing.T) *asker {
	t.Helper()
	inRead, in := io.Pipe()
	outRead, out := io.Pipe()
	process, err := w.director.Start(context.WithoutCancel(t.Context()), lab.ProcessSpec{
		Argv:  []string{directorProgram, "explain", "--clients-file", "-", "-o", "json"},
		Stdin: inRead, Stdout: out, Stderr: out,
	})
	suite.Must(t, err)
	go func() {
		<-process.Done()
		_ = out.Close()
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-process.Done()
	})
	lines := bufio.NewScanner(outRead)
	lines.Buffer(nil, 1<<20)
	return &asker{in, lines}
}

// ask asks what a client would get.
func (a *asker) ask(from, to netip.AddrPort, protocol string) (answer, error) {
	var got answer
	if _, err := fmt.Fprintln(a.in, from, to, protocol); err != nil {
		return got, err
	}
	if !a.out.Scan() {
		return got, fmt.Errorf("truepacs explain ended: %w", a.out.Err())
	}
	if err := json.Unmarshal(a.out.Bytes(), &got); err != nil {
		return got, fmt.Errorf("%w: %s", err, a.out.Text())
	}
	return got, nil
}
