package genl

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	// receiveBuffer is more than a datagram of the kernel: a dump fills up to 32 KiB at a time
	// if the reader has room for it (af_netlink.c, netlink_dump).
	receiveBuffer = 64 << 10
	// maxForeign bounds the messages of one exchange that are for somebody else: left-overs of a
	// request that was given up. More means that we talk past each other.
	maxForeign = 4096
	// maxDrained bounds the datagrams of a dump that was given up; 32 KiB hold about 100 services.
	maxDrained = 4096
)

// exchange sends requests over a wire and collects what answers them. It is not for several
// goroutines at once.
type exchange struct {
	wire    wire
	buffer  []byte
	seq     uint32
	sends   atomic.Uint64 // datagrams
	pending bool          // an answer was given up: the kernel may still have some of it
}

// numbers reserves sequence numbers for a train of n requests, never 0, which the kernel's own
// messages have.
func (x *exchange) numbers(n int) (first uint32) {
	if x.seq > 1<<31 {
		x.seq = 0
	}
	first = x.seq + 1
	x.seq += uint32(n)
	return first
}

// run sends the datagram b and gives visit each message that answers one of its n requests, the
// first of which has the number first, until visit returns true or an error.
func (x *exchange) run(ctx context.Context, b []byte, first uint32, n int, visit func(message) (done bool, err error)) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	x.drain()
	x.sends.Add(1)
	if err := x.wire.send(b); err != nil {
		return fmt.Errorf("ipvs: send to the kernel: %w", sendError(err))
	}
	x.pending = true
	err := x.collect(ctx, first, n, visit)
	if err == nil {
		x.pending = false
	}
	return err
}

func sendError(err error) error {
	if errors.Is(err, unix.ENOBUFS) || errors.Is(err, unix.ENOMEM) {
		return fmt.Errorf("%w: %w", ErrMemory, err)
	}
	return err
}

// drain throws away what is left of an answer that was given up. The kernel refuses a dump while
// another is not read to its end.
func (x *exchange) drain() {
	for range maxDrained {
		if !x.pending || !x.wire.waiting(x.buffer) {
			break
		}
	}
	x.pending = false
}

func (x *exchange) collect(ctx context.Context, first uint32, n int, visit func(message) (bool, error)) error {
	foreign := 0
	for {
		rest, err := x.receive(ctx)
		if err != nil {
			return err
		}
		if rest == nil {
			foreign++
		}
		for len(rest) > 0 {
			var m message
			if m, rest, err = cutMessage(rest); err != nil {
				return fmt.Errorf("ipvs: %w", err)
			}
			if m.seq-first >= uint32(n) || m.port != x.wire.port() || m.kind == unix.NLMSG_NOOP {
				foreign++
				continue
			}
			if m.kind == unix.NLMSG_OVERRUN {
				return fmt.Errorf("ipvs: %w", ErrOverrun)
			}
			if done, err := visit(m); done || err != nil {
				return err
			}
		}
		if foreign > maxForeign {
			return fmt.Errorf("ipvs: %w: it answers other requests only", ErrAnswer)
		}
	}
}

// receive returns the next datagram; nil for one that is not the kernel's.
func (x *exchange) receive(ctx context.Context) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("ipvs: %w: %w", ErrTimeout, err)
	}
	n, from, whole, err := x.wire.receive(ctx, x.buffer)
	switch {
	case err == nil:
	case errors.Is(err, unix.ENOBUFS):
		return nil, fmt.Errorf("ipvs: %w: %w", ErrOverrun, err)
	case errors.Is(err, unix.EAGAIN):
		return nil, fmt.Errorf("ipvs: %w: %w", ErrTimeout, err)
	default:
		return nil, fmt.Errorf("ipvs: receive from the kernel: %w", err)
	}
	if from != 0 {
		return nil, nil
	}
	if !whole {
		return nil, fmt.Errorf("ipvs: %w: it is longer than %d bytes", ErrAnswer, len(x.buffer))
	}
	return x.buffer[:n], nil
}
