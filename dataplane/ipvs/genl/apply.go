package genl

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

const (
	// maxTrain is the most requests of one system call. The kernel carries a train out in one go,
	// a few milliseconds, while which no generic netlink family can be registered.
	maxTrain = 256
	// answerSpace is what the receive buffer needs for the answer to one refused request: the
	// kernel reckons its whole buffer (SKB_TRUESIZE), the words of an error included.
	answerSpace = 2048
)

// Change is one write.
type Change struct {
	// Command is NewService, SetService, DelService, NewDest, SetDest, DelDest or Zero.
	Command Command
	// Service is the service; for commands other than NewService and SetService its ServiceID
	// is enough.
	Service Service
	// Destination belongs to the commands on destinations; for DelDest its Address is enough.
	Destination Destination
}

// String describes the change for messages.
func (c Change) String() string { return c.Command.String() + " " + c.subject() }

func (c *Change) subject() string {
	switch c.Command {
	case NewDest, SetDest, DelDest:
		return fmt.Sprintf("%s of %s", c.Destination.Address, c.Service.ServiceID)
	}
	return c.Service.ServiceID.String()
}

// check refuses what cannot be sent.
func (c *Change) check() error {
	if err := c.Service.ServiceID.check(); err != nil {
		return err
	}
	switch c.Command {
	case NewService, SetService:
		return c.Service.check()
	case NewDest, SetDest:
		return c.Destination.check()
	case DelDest:
		return checkAddress(c.Destination.Address.Addr())
	case DelService, Zero:
		return nil
	}
	return fmt.Errorf("%w: command %d is no change", ErrInvalid, c.Command)
}

// fill appends the change's attributes.
func (c *Change) fill(b []byte) []byte {
	b = appendService(b, &c.Service, c.Command == NewService || c.Command == SetService)
	switch c.Command {
	case NewDest, SetDest, DelDest:
		b = appendDestination(b, &c.Destination, c.Command != DelDest)
	}
	return b
}

// Apply carries out the changes in their order and returns what became of each, by the same index:
// nil, an *Error, ErrInvalid for what was not sent, or the reason why it is not known
// (ErrOverrun, ErrTimeout). One that fails does not stop the others. When the context ends, those
// that are not sent yet have its error.
//
// Changes travel in trains of up to 256 requests, each one system call to send and, where all goes
// well, one to hear of it.
func (c *Client) Apply(ctx context.Context, changes []Change) []error {
	results := make([]error, len(changes))
	send := make([]int, 0, len(changes))
	for i := range changes {
		if err := changes[i].check(); err != nil {
			results[i] = refused(changes[i].Command, changes[i].subject(), err)
			continue
		}
		send = append(send, i)
	}
	if len(send) == 0 {
		return results
	}
	end, err := c.begin(ctx)
	if err == nil {
		defer end()
		err = c.findFamily(ctx, false)
	}
	for _, i := range send {
		results[i] = err
	}
	if err == nil {
		c.apply(ctx, changes, send, results)
	}
	return results
}

// apply sends those changes, and what met a family number that has gone once more.
func (c *Client) apply(ctx context.Context, changes []Change, send []int, results []error) {
	c.trains(ctx, changes, send, results)
	var again []int
	for _, i := range send {
		if errors.Is(results[i], unix.ENOENT) {
			again = append(again, i)
		}
	}
	if len(again) == 0 {
		return
	}
	old := c.family
	if err := c.findFamily(ctx, true); err != nil {
		for _, i := range again {
			results[i] = err
		}
		return
	}
	if c.family != old {
		c.trains(ctx, changes, again, results)
	}
}

func (c *Client) trains(ctx context.Context, changes []Change, send []int, results []error) {
	length := max(1, min(maxTrain, c.x.wire.space()/answerSpace))
	for len(send) > 0 {
		n := min(length, len(send))
		t := train{changes: changes, indices: send[:n], results: results}
		err := c.bounded(ctx, func(ctx context.Context) error { return c.train(ctx, &t) })
		if err != nil {
			t.unknown(err)
		}
		send = send[n:]
		if errors.Is(err, ErrTimeout) { // the next would wait as long
			c.unsent(changes, send, results, err)
			return
		}
	}
}

// unsent notes that changes were not sent since the kernel does not answer.
func (c *Client) unsent(changes []Change, send []int, results []error, err error) {
	for _, i := range send {
		change := &changes[i]
		results[i] = fmt.Errorf("%s %s: not tried: %w", change.Command, change.subject(), err)
	}
}

// train is requests that are sent together. Only the last asks for an acknowledgement: the kernel
// answers each that it refuses anyway, and answers in order (af_netlink.c, netlink_rcv_skb).
type train struct {
	changes []Change
	indices []int
	results []error
	first   uint32
	heard   int // answers up to this one have been heard of
}

func (c *Client) train(ctx context.Context, t *train) error {
	t.first = c.x.numbers(len(t.indices))
	b := c.request[:0]
	for n, i := range t.indices {
		var flags uint16
		if n == len(t.indices)-1 {
			flags = unix.NLM_F_ACK
		}
		t.results[i] = nil
		start := len(b)
		b = begin(b, c.family, flags, t.first+uint32(n), uint8(t.changes[i].Command), familyVersion)
		b = finish(t.changes[i].fill(b), start)
	}
	c.request = b
	c.writes.Add(1)
	return c.x.run(ctx, b, t.first, len(t.indices), t.take)
}

// take notes one answer.
func (t *train) take(m message) (done bool, err error) {
	if m.kind != unix.NLMSG_ERROR {
		return true, fmt.Errorf("ipvs: %w: a message where an acknowledgement should be", ErrAnswer)
	}
	n := int(m.seq - t.first)
	if errno, _, err := m.status(); errno != 0 || err != nil {
		change := &t.changes[t.indices[n]]
		t.results[t.indices[n]] = refusal(change.Command, change.subject(), m)
	}
	t.heard = max(t.heard, n+1)
	return n == len(t.indices)-1, nil
}

// unknown notes that nothing was heard of the rest. What the kernel had refused before is known;
// after a loss even what it kept quiet about is not.
func (t *train) unknown(err error) {
	from := t.heard
	if errors.Is(err, ErrOverrun) {
		from = 0
	}
	for _, i := range t.indices[from:] {
		if t.results[i] == nil {
			change := &t.changes[i]
			t.results[i] = fmt.Errorf("%s %s: %w", change.Command, change.subject(), err)
		}
	}
}
