package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Dialer opens a connection to one host's agent.
type Dialer func(ctx context.Context) (net.Conn, error)

// Client asks one host's agent for work. It holds no connection, so it survives
// the host's power failures and needs no Close.
type Client struct {
	dial Dialer
}

// NewClient returns a client whose connections come from dial.
func NewClient(dial Dialer) *Client {
	return &Client{dial: dial}
}

// ErrRefused is wrapped by every error that the agent itself reported, such as a
// file that does not exist in the host.
var ErrRefused = errors.New("refused in the host")

// open sends the request. The connection closes when ctx ends; release stops that
// and must be called once.
func (c *Client) open(ctx context.Context, request Request) (conn net.Conn, release func(), err error) {
	conn, err = c.dial(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("reach the host's agent: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	if err := writeJSON(conn, kindRequest, request); err != nil {
		stop()
		_ = conn.Close()
		return nil, nil, fmt.Errorf("send the %s request: %w", request.Operation, because(ctx, err))
	}
	return conn, func() { stop() }, nil
}

// because prefers the context's reason over the closed connection that it caused.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func expect(conn net.Conn, want kind) ([]byte, error) {
	k, payload, err := readFrame(conn, nil)
	if err != nil {
		return nil, err
	}
	if k == kindError {
		return nil, fmt.Errorf("%w: %s", ErrRefused, payload)
	}
	if k != want {
		return nil, fmt.Errorf("agent answered with a frame of kind %q, not %q", string(k), string(want))
	}
	return payload, nil
}

// Ping returns nil when the agent answers.
func (c *Client) Ping(ctx context.Context) error {
	return c.simple(ctx, Request{Operation: opPing})
}

// SetClock sets the host's clock to the time here. A host of namespaces has the
// clock of this machine: do not set that.
func (c *Client) SetClock(ctx context.Context) error {
	return c.simple(ctx, Request{Operation: opClock, Clock: time.Now().UnixNano()})
}

// simple asks for work that answers with its completion alone.
func (c *Client) simple(ctx context.Context, request Request) error {
	conn, release, err := c.open(ctx, request)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer release()
	_, err = expect(conn, kindComplete)
	return because(ctx, err)
}

// Put writes all of r to path in the host, with its missing folders, and replaces
// the file in one step.
func (c *Client) Put(ctx context.Context, path string, r io.Reader, mode os.FileMode) error {
	request := Request{Operation: opPut, Path: path, Mode: uint32(mode.Perm())}
	conn, release, err := c.open(ctx, request)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer release()
	sent := sendFrames(conn, r)
	if _, err := expect(conn, kindComplete); err != nil {
		return fmt.Errorf("put %s: %w", path, because(ctx, errors.Join(err, sent)))
	}
	return nil
}

// Get returns the content of a file in the host.
func (c *Client) Get(ctx context.Context, path string) ([]byte, error) {
	conn, release, err := c.open(ctx, Request{Operation: opGet, Path: path})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer release()
	var content bytes.Buffer
	for {
		payload, err := expect(conn, kindData)
		if err != nil {
			return nil, fmt.Errorf("get %s: %w", path, because(ctx, err))
		}
		if len(payload) == 0 {
			return content.Bytes(), nil
		}
		content.Write(payload)
	}
}

// Dial opens a connection from within the host to address. Network is as for
// net.Dial ("tcp4", "udp6", "unix").
func (c *Client) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, release, err := c.open(ctx, Request{Operation: opDial, Network: network, Address: address})
	if err != nil {
		return nil, err
	}
	defer release()
	if _, err := expect(conn, kindStarted); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("dial %s %s: %w", network, address, because(ctx, err))
	}
	return conn, nil
}
