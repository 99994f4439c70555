package lab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/truepacs/balancer/e2e/lab/agent"
)

// Host is a computer of the lab, be it namespaces or a virtual machine.
type Host interface {
	// Name is the name the host was made with, and its host name.
	Name() string
	// Run runs a command to its end. The error is set only when that was not
	// possible; a command that fails has an ExitCode.
	Run(ctx context.Context, argv ...string) (Result, error)
	// Start starts a command. It is killed when ctx ends or the lab closes.
	Start(ctx context.Context, spec ProcessSpec) (*Process, error)
	// Put writes a file, makes its folders, and replaces it in one step.
	Put(ctx context.Context, path string, content io.Reader, mode os.FileMode) error
	// Get reads a file.
	Get(ctx context.Context, path string) ([]byte, error)
	// Capture records frames on the wire side of an interface, outside the host.
	Capture(ctx context.Context, nic, filter string) (*Capture, error)
	// Cable pulls (up false) or plugs in the interface's cable: the host sees the
	// carrier go, and no frame passes.
	Cable(ctx context.Context, nic string, up bool) error
	// Dial opens a connection from within the host.
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// Result is what a command left.
type Result struct {
	Stdout, Stderr string
	// ExitCode is the exit status, or 128 plus the number of the signal that ended it.
	ExitCode int
}

// Process is a command that runs in a host: PID (as the host sees it), Signal,
// Kill, Wait and Done.
type Process = agent.Process

// ProcessSpec is a command to start.
type ProcessSpec struct {
	Argv []string
	Env  []string // added to the host's environment, as "NAME=value"
	Dir  string
	// Stdin is nil for /dev/null.
	Stdin io.Reader
	// Stdout and Stderr get output as it is written; nil discards it.
	Stdout, Stderr io.Writer
}

// host is what namespaces and machines have in common.
type host struct {
	lab    *Lab
	name   string
	client *agent.Client
	ports  []port
}

func (h *host) Name() string { return h.name }

func (h *host) Run(ctx context.Context, argv ...string) (Result, error) {
	var stdout, stderr bytes.Buffer
	process, err := h.Start(ctx, ProcessSpec{Argv: argv, Stdout: &stdout, Stderr: &stderr})
	if err != nil {
		return Result{}, err
	}
	exit, err := process.Wait()
	result := Result{Stdout: stdout.String(), Stderr: stderr.String(), ExitCode: exit.Code}
	if err != nil {
		return result, fmt.Errorf("lab: %s: %w", h.name, err)
	}
	return result, nil
}

func (h *host) Start(ctx context.Context, spec ProcessSpec) (*Process, error) {
	process, err := h.client.Start(ctx, agent.Spec{
		Argv: spec.Argv, Env: spec.Env, Dir: spec.Dir,
		Stdin: spec.Stdin, Stdout: spec.Stdout, Stderr: spec.Stderr,
	})
	if err != nil {
		return nil, fmt.Errorf("lab: %s: %w", h.name, err)
	}
	return process, nil
}

func (h *host) Put(ctx context.Context, path string, content io.Reader, mode os.FileMode) error {
	if err := h.client.Put(ctx, path, content, mode); err != nil {
		return fmt.Errorf("lab: %s: %w", h.name, err)
	}
	return nil
}

func (h *host) Get(ctx context.Context, path string) ([]byte, error) {
	content, err := h.client.Get(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("lab: %s: %w", h.name, err)
	}
	return content, nil
}

func (h *host) Cable(_ context.Context, nic string, up bool) error {
	p, err := h.port(nic)
	if err != nil {
		return err
	}
	return h.lab.setPort(p.link, up)
}

func (h *host) port(nic string) (port, error) {
	for _, p := range h.ports {
		if p.nic.Name == nic {
			return p, nil
		}
	}
	return port{}, fmt.Errorf("lab: %s has no interface %q", h.name, nic)
}

// MAC is the hardware address of an interface, as text; empty if there is none.
func (h *host) MAC(nic string) string {
	p, err := h.port(nic)
	if err != nil {
		return ""
	}
	return p.nic.MAC
}
