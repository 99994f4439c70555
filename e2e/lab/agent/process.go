package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
)

// Spec is a command to start in a host.
type Spec struct {
	Argv []string
	// Env is added to the agent's environment, as "NAME=value".
	Env []string
	// Dir is the working directory; empty is the root.
	Dir string
	// Stdin is copied to the command; nil is /dev/null.
	Stdin io.Reader
	// Stdout and Stderr receive output as it is written; nil discards it. They are
	// called from one goroutine, and a slow one slows the command down.
	Stdout, Stderr io.Writer
	// Isolate gives the command new network, mount, UTS, IPC and PID namespaces.
	Isolate bool
}

// Process is a command that runs in a host.
type Process struct {
	// PID is the process's number as the host sees it.
	PID int

	spec  Spec
	conn  net.Conn
	write sync.Mutex
	done  chan struct{}
	exit  Exit
	err   error
}

// Start runs a command. When ctx ends the command is killed.
func (c *Client) Start(ctx context.Context, spec Spec) (*Process, error) {
	conn, release, err := c.open(ctx, Request{
		Operation: opStart, Argv: spec.Argv, Env: spec.Env, Dir: spec.Dir,
		Stdin: spec.Stdin != nil, Isolate: spec.Isolate,
	})
	if err != nil {
		return nil, err
	}
	var reply started
	payload, err := expect(conn, kindStarted)
	if err == nil {
		err = json.Unmarshal(payload, &reply)
	}
	if err != nil {
		release()
		_ = conn.Close()
		return nil, because(ctx, err)
	}
	p := &Process{PID: reply.PID, spec: spec, conn: conn, done: make(chan struct{})}
	if spec.Stdin != nil {
		go p.feed(spec.Stdin)
	}
	go p.follow(ctx, release)
	return p, nil
}

func (p *Process) send(k kind, payload []byte) error {
	p.write.Lock()
	defer p.write.Unlock()
	return writeFrame(p.conn, k, payload)
}

func (p *Process) feed(r io.Reader) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := r.Read(buffer)
		if n > 0 && p.send(kindStdin, buffer[:n]) != nil {
			return
		}
		if err != nil {
			_ = p.send(kindStdin, nil)
			return
		}
	}
}

func (p *Process) follow(ctx context.Context, release func()) {
	defer close(p.done)
	defer p.conn.Close()
	defer release()
	buffer := make([]byte, maxFrame)
	for {
		k, payload, err := readFrame(p.conn, buffer)
		if err != nil {
			p.err = fmt.Errorf("%s: the host is gone or the command was given up: %w", p.spec.Argv[0], because(ctx, err))
			return
		}
		switch k {
		case kindStdout:
			emit(p.spec.Stdout, payload)
		case kindStderr:
			emit(p.spec.Stderr, payload)
		case kindExit:
			p.err = json.Unmarshal(payload, &p.exit)
			return
		case kindError:
			p.err = fmt.Errorf("%w: %s", ErrRefused, payload)
			return
		}
	}
}

func emit(w io.Writer, payload []byte) {
	if w != nil {
		_, _ = w.Write(payload)
	}
}

// Done is closed when the command has ended and its output was delivered.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait returns how the command ended. The error is set only when that cannot be
// known: ctx of Start ended, or the host lost its power. It may be called often.
func (p *Process) Wait() (Exit, error) {
	<-p.done
	return p.exit, p.err
}

// Signal sends a signal to the command, not to its children. Nothing happens when
// the command has ended.
func (p *Process) Signal(signal syscall.Signal) error {
	return p.sendSignal(signal, false)
}

// Kill sends SIGKILL to the command and all children in its process group.
func (p *Process) Kill() error {
	return p.sendSignal(syscall.SIGKILL, true)
}

func (p *Process) sendSignal(signal syscall.Signal, group bool) error {
	select {
	case <-p.done:
		return nil
	default:
	}
	payload, err := json.Marshal(signalRequest{Number: int(signal), Group: group})
	if err != nil {
		return err
	}
	if err := p.send(kindSignal, payload); err != nil {
		return fmt.Errorf("signal %s in the host: %w", p.spec.Argv[0], err)
	}
	return nil
}
