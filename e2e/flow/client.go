package flow

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Dial opens a connection to the balancer from a client's host.
type Dial func(ctx context.Context) (net.Conn, error)

// patience is how long a connection may stay silent before it counts as cut: packets may be
// lost around a fault and are sent again, a connection that was cut never answers.
const patience = 60 * time.Second

// Flows are connections that stay open and one transfer. Make them with Start.
type Flows struct {
	name  string
	stop  chan struct{}
	end   chan struct{} // closed by Finish
	wg    sync.WaitGroup
	beats atomic.Int64
	sent  atomic.Int64
	size  int64

	mu     sync.Mutex
	errors []error
	done   bool // the transfer is complete and its hash right
}

// Options of Start.
type Options struct {
	// Name appears in errors.
	Name string
	// Connections is how many stay open, each with a small exchange every Interval; absent: 200 ms.
	Connections int
	Interval    time.Duration
	// Bytes is the size of the transfer, Rate its speed in bytes per second. The last fifth goes
	// at a crawl until Finish, so that the transfer is under way however long the faults take.
	Bytes, Rate int64
	// Seed makes the transfer's content.
	Seed uint64
}

// Start opens the connections and begins the transfer; it returns once all have had an answer.
func Start(ctx context.Context, dial Dial, o Options) (*Flows, error) {
	f := &Flows{name: o.Name, stop: make(chan struct{}), end: make(chan struct{}), size: o.Bytes}
	if o.Interval <= 0 {
		o.Interval = 200 * time.Millisecond
	}
	for range o.Connections {
		c, err := dial(ctx)
		if err == nil {
			_, err = c.Write([]byte{cmdEcho})
		}
		if err == nil {
			err = exchange(c, 0)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open a connection through %s: %w", o.Name, err), f.Stop())
		}
		f.wg.Go(func() { f.keepOpen(c, o.Interval) })
	}
	c, err := dial(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin the transfer through %s: %w", o.Name, err), f.Stop())
	}
	f.wg.Go(func() { f.transfer(c, o) })
	return f, nil
}

// keepOpen exchanges a few bytes now and then until Stop.
func (f *Flows) keepOpen(c net.Conn, every time.Duration) {
	defer c.Close()
	for n := byte(1); ; n++ {
		select {
		case <-f.stop:
			return
		case <-time.After(every):
		}
		if err := exchange(c, n); err != nil {
			f.fail(fmt.Errorf("a connection through %s was cut: %w", f.name, err))
			return
		}
		f.beats.Add(1)
	}
}

func exchange(c net.Conn, n byte) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := c.Write([]byte{n}); err != nil {
		return err
	}
	var back [1]byte
	if _, err := io.ReadFull(c, back[:]); err != nil {
		return err
	}
	if back[0] != n {
		return fmt.Errorf("got %d back for %d", back[0], n)
	}
	return nil
}

// transfer sends pseudo-random bytes at the asked rate and compares the hash at the end.
func (f *Flows) transfer(c net.Conn, o Options) {
	defer c.Close()
	err := f.send(c, o)
	if err != nil {
		f.fail(fmt.Errorf("the transfer through %s failed after %d of %d bytes: %w", f.name, f.sent.Load(), o.Bytes, err))
	}
}

func (f *Flows) send(c net.Conn, o Options) error {
	if _, err := c.Write([]byte{cmdTransfer}); err != nil {
		return err
	}
	source := rand.NewChaCha8([32]byte{byte(o.Seed), byte(o.Seed >> 8), byte(o.Seed >> 16)})
	hash, chunk := sha256.New(), make([]byte, 64<<10)
	start := time.Now()
	for f.sent.Load() < o.Bytes {
		part := chunk[:min(int64(len(chunk)), o.Bytes-f.sent.Load())]
		_, _ = source.Read(part)
		hash.Write(part)
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := c.Write(part); err != nil {
			return err
		}
		due := time.Duration(float64(f.sent.Add(int64(len(part)))) / float64(o.Rate) * float64(time.Second))
		if !f.wait(time.Until(start.Add(due))) {
			return errors.New("stopped before its end")
		}
	}
	return f.compare(c, hex.EncodeToString(hash.Sum(nil)))
}

// wait waits until the next chunk is due; in the last fifth a second, until Finish.
func (f *Flows) wait(due time.Duration) bool {
	end := f.end
	if f.sent.Load() < f.size*4/5 {
		end = nil
	} else {
		due = time.Second
	}
	select {
	case <-f.stop:
		return false
	case <-end:
	case <-time.After(due):
	}
	return true
}

func (f *Flows) compare(c net.Conn, want string) error {
	half, ok := c.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("%T cannot be closed by halves", c)
	}
	if err := half.CloseWrite(); err != nil {
		return err
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	got, err := io.ReadAll(c)
	if err != nil {
		return err
	}
	if string(got) != want {
		return fmt.Errorf("the server got other bytes: SHA-256 %q, sent %q", got, want)
	}
	f.mu.Lock()
	f.done = true
	f.mu.Unlock()
	return nil
}

func (f *Flows) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errors = append(f.errors, err)
}

// Cut returns what was cut so far.
func (f *Flows) Cut() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.errors
}

// Beats returns how many exchanges succeeded, Sent how many bytes the transfer has sent.
func (f *Flows) Beats() int64 { return f.beats.Load() }

// Sent returns how many bytes the transfer has sent.
func (f *Flows) Sent() int64 { return f.sent.Load() }

// Running tells whether the transfer is under way.
func (f *Flows) Running() bool { return f.sent.Load() > 0 && f.sent.Load() < f.size }

// Finish lets the transfer run to its end, ends everything and returns what was cut. Call it
// once.
func (f *Flows) Finish(ctx context.Context) error {
	close(f.end)
	for {
		f.mu.Lock()
		over := f.done || len(f.errors) > 0
		f.mu.Unlock()
		if over {
			return f.Stop()
		}
		select {
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("the transfer through %s does not end: %w", f.name, ctx.Err()), f.Stop())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop ends everything at once and returns what was cut before.
func (f *Flows) Stop() error {
	select {
	case <-f.stop:
	default:
		close(f.stop)
	}
	f.wg.Wait()
	return errors.Join(f.Cut()...)
}
