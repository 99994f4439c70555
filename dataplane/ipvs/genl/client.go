package genl

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultTimeout bounds one request, one list or one train of changes, if Config does not.
const DefaultTimeout = 10 * time.Second

// dumpAttempts is how often a list is read that others change meanwhile.
const dumpAttempts = 4

// Config are the settings of a Client; the zero value is usable.
type Config struct {
	// Timeout bounds one request, one attempt at a list, or one train of changes; 0:
	// DefaultTimeout. A context's earlier end comes first.
	Timeout time.Duration
}

// Client is IPVS in one network namespace. It may be used from several goroutines, whose calls
// take turns.
type Client struct {
	turn    chan struct{} // holds one token while no call is running
	x       exchange
	request []byte
	family  uint16 // 0: not looked up yet
	timeout time.Duration
	writes  atomic.Uint64
}

// Dial opens a client for the network namespace of the calling thread, in which it stays whichever
// goroutine uses it. It needs neither the module ip_vs, which may come later, nor a right.
func Dial(config Config) (*Client, error) {
	s, err := openSocket()
	if err != nil {
		return nil, err
	}
	return newClient(s, config), nil
}

func newClient(w wire, config Config) *Client {
	if config.Timeout <= 0 {
		config.Timeout = DefaultTimeout
	}
	c := &Client{
		turn:    make(chan struct{}, 1),
		x:       exchange{wire: w, buffer: make([]byte, receiveBuffer)},
		timeout: config.Timeout,
	}
	c.turn <- struct{}{}
	return c
}

// Counts are what a client has sent: datagrams, each one system call.
type Counts struct {
	// Sends are all datagrams.
	Sends uint64
	// Writes are those that may change something: changes, timeouts, daemons.
	Writes uint64
}

// Counts returns what the client has sent so far. It does not wait for the client's turn.
func (c *Client) Counts() Counts {
	return Counts{Sends: c.x.sends.Load(), Writes: c.writes.Load()}
}

// Close closes the socket. A call that waits for the kernel, and each later one, returns ErrClosed.
func (c *Client) Close() error { return c.x.wire.Close() }

// begin waits for the client's turn.
func (c *Client) begin(ctx context.Context) (end func(), err error) {
	select {
	case <-ctx.Done():
		return nil, fmt.Errorf("ipvs: %w", ctx.Err())
	case <-c.turn:
		return func() { c.turn <- struct{}{} }, nil
	}
}

// do runs a request, and runs it again with the family's new number if the module turns out to
// have been loaded anew.
func (c *Client) do(ctx context.Context, request func(context.Context) error) error {
	end, err := c.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := c.findFamily(ctx, false); err != nil {
		return err
	}
	err = c.bounded(ctx, request)
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	old := c.family
	if lookUp := c.findFamily(ctx, true); lookUp != nil {
		return lookUp
	}
	if c.family == old {
		return err
	}
	return c.bounded(ctx, request)
}

func (c *Client) bounded(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return request(ctx)
}

// findFamily asks for the family's number, for which the kernel loads ip_vs where it may.
func (c *Client) findFamily(ctx context.Context, again bool) error {
	if c.family != 0 && !again {
		return nil
	}
	c.family = 0
	return c.bounded(ctx, func(ctx context.Context) error {
		seq := c.x.numbers(1)
		b := begin(c.request[:0], controlFamily, 0, seq, controlGet, controlVersion)
		c.request = finish(attributeName(b, controlName, familyName), 0)
		return c.x.run(ctx, c.request, seq, 1, func(m message) (bool, error) {
			if m.kind == unix.NLMSG_ERROR {
				return true, refusal(lookUpFamily, "", m)
			}
			payload, err := m.expect(controlFamily, controlNew)
			if err == nil {
				c.family, err = decodeFamily(payload)
			}
			return true, err
		})
	})
}

// expect returns the attributes of a message that has to be of a family and a command.
func (m message) expect(family uint16, want Command) ([]byte, error) {
	command, payload, err := m.data()
	if err != nil {
		return nil, err
	}
	if m.kind != family || command != want {
		return nil, fmt.Errorf("%w: command %d of family %d, want %d of %d", ErrAnswer, command, m.kind, want, family)
	}
	return payload, nil
}

// refusal turns NLMSG_ERROR or NLMSG_DONE into an error; nil for success.
func refusal(command Command, subject string, m message) error {
	errno, text, err := m.status()
	if err != nil {
		return fmt.Errorf("ipvs: %s: %w", command, err)
	}
	if errno == 0 {
		return nil
	}
	return &Error{Command: command, Subject: subject, Errno: errno, Text: text, Kind: meaning(command, errno)}
}

// start begins a request of the family in the client's buffer.
func (c *Client) start(command Command, flags uint16) (b []byte, seq uint32) {
	seq = c.x.numbers(1)
	return begin(c.request[:0], c.family, flags, seq, uint8(command), familyVersion), seq
}

// order sends a request that the kernel acknowledges.
func (c *Client) order(ctx context.Context, command Command, subject string, fill func([]byte) []byte) error {
	return c.do(ctx, func(ctx context.Context) error {
		c.writes.Add(1)
		b, seq := c.start(command, unix.NLM_F_ACK)
		c.request = finish(fill(b), 0)
		return c.x.run(ctx, c.request, seq, 1, func(m message) (bool, error) {
			if m.kind != unix.NLMSG_ERROR {
				return true, fmt.Errorf("ipvs: %s: %w: a message where an acknowledgement should be", command, ErrAnswer)
			}
			return true, refusal(command, subject, m)
		})
	})
}

// ask sends a request that one message answers.
func (c *Client) ask(ctx context.Context, command, answer Command, subject string, fill func([]byte) []byte, decode func([]byte) error) error {
	return c.do(ctx, func(ctx context.Context) error {
		b, seq := c.start(command, 0)
		c.request = finish(fill(b), 0)
		return c.x.run(ctx, c.request, seq, 1, func(m message) (bool, error) {
			if m.kind == unix.NLMSG_ERROR {
				if err := refusal(command, subject, m); err != nil {
					return true, err
				}
				return true, fmt.Errorf("ipvs: %s: %w: an acknowledgement where data should be", command, ErrAnswer)
			}
			payload, err := m.expect(c.family, answer)
			if err == nil {
				err = decode(payload)
			}
			if err != nil {
				err = fmt.Errorf("ipvs: %s: %w", command, err)
			}
			return true, err
		})
	})
}

// dump sends a request that a list answers. It begins anew, calling reset first, as long as the
// list is interrupted.
func (c *Client) dump(ctx context.Context, command, answer Command, subject string, fill func([]byte) []byte, reset func(), decode func([]byte) error) error {
	attempt := func(ctx context.Context) error {
		reset()
		b, seq := c.start(command, unix.NLM_F_DUMP)
		c.request = finish(fill(b), 0)
		l := list{command: command, answer: answer, family: c.family, subject: subject, decode: decode}
		return c.x.run(ctx, c.request, seq, 1, l.take)
	}
	var err error
	for range dumpAttempts {
		if err = c.do(ctx, attempt); !errors.Is(err, ErrInterrupted) {
			return err
		}
	}
	return err
}

// list is an answer of many messages.
type list struct {
	command, answer Command
	family          uint16
	subject         string
	decode          func([]byte) error
	interrupted     bool
}

// take reads one message. A list that the kernel marks as interrupted is read to its end all the
// same, for the kernel does not begin another before.
func (l *list) take(m message) (done bool, err error) {
	l.interrupted = l.interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
	if m.kind == unix.NLMSG_DONE || m.kind == unix.NLMSG_ERROR {
		if err := refusal(l.command, l.subject, m); err != nil {
			return true, err
		}
		if l.interrupted {
			return true, fmt.Errorf("ipvs: %s: %w", l.command, ErrInterrupted)
		}
		return true, nil
	}
	payload, err := m.expect(l.family, l.answer)
	if err == nil {
		err = l.decode(payload)
	}
	if err != nil {
		return true, fmt.Errorf("ipvs: %s: %w", l.command, err)
	}
	return m.flags&unix.NLM_F_MULTI == 0, nil
}
