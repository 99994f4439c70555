package health

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/dicom"
	"github.com/truepacs/balancer/dataplane/nonblock"
)

// flight is one probe on a plain socket, carried on by a loop.
type flight struct {
	fd, generation int32
	// watched: epoll has the socket, which is one that rested before.
	watched bool
	// echo is the conversation; nil: being connected is all that is asked.
	echo *dicom.EchoRequestor
	// done gets one value when the flight has ended, unless it is part of a cruise then.
	done chan struct{}
	// cruise that it is part of, if any. Guarded by loop.mu.
	cruise *cruise

	mu        sync.Mutex
	deadline  time.Time
	connected bool
	parting   bool // the outcome is known, the release is under way
	over      bool
	unsent    []byte
	// err is why it failed, if echo has no outcome; while connecting it is an error of connect(2).
	err error
	// stage is how far echo had come when err arose.
	stage dicom.Stage
}

// takeOff starts connecting.
func takeOff(at netip.AddrPort, echo *dicom.EchoRequestor, deadline time.Time) (*flight, error) {
	fd, _, err := begin(at)
	if err != nil {
		return nil, err
	}
	return &flight{fd: int32(fd), echo: echo, deadline: deadline, done: make(chan struct{}, 1)}, nil
}

// rest ends the connection of a flight that has passed and keeps its socket, which saves the next one half of its
// system calls; false: that is not possible.
func (f *flight) rest() bool {
	if f.echo == nil {
		return nonblock.Disconnect(int(f.fd)) == nil
	}
	err := nonblock.Shutdown(int(f.fd), unix.SHUT_WR)
	return err == nil || err == unix.ENOTCONN // which is gone already
}

// again makes a flight that rests one that has just taken off; f.echo is renewed.
func (f *flight) again(at netip.AddrPort, deadline time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deadline, f.err, f.stage, f.unsent = deadline, nil, 0, f.unsent[:0]
	f.connected, f.parting, f.over = false, false, false
	if f.echo != nil {
		// Its end of the connection; the server's may be open for long.
		if err := nonblock.Disconnect(int(f.fd)); err != nil {
			return os.NewSyscallError("connect", err)
		}
	}
	acknowledgeLate(int(f.fd)) // which ends with the connection
	_, err := advance(int(f.fd), at)
	return os.NewSyscallError("connect", err)
}

// drop closes the socket; the loop knows the flight no more.
func (f *flight) drop() {
	if f.echo == nil {
		_ = nonblock.SetReset(int(f.fd))
	}
	_ = nonblock.Close(int(f.fd))
}

// due is when the flight runs out of time.
func (f *flight) due() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.deadline
}

// advance acts on events of epoll_wait(2) and tells whether the flight has ended by it.
func (f *flight) advance(events uint32, buffer []byte) (ended bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return false
	}
	if !f.connected && !f.arrive(events) {
		return f.over
	}
	f.send()
	if events&(unix.EPOLLIN|closing) != 0 {
		f.receive(buffer, events&closing != 0)
	}
	return f.over
}

// closing are the events after which a read says how the connection ends.
const closing = unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR

// arrive tells whether the connection has come about and there is something to talk about.
func (f *flight) arrive(events uint32) bool {
	if events&(unix.EPOLLERR|unix.EPOLLHUP) != 0 {
		if code, err := unix.GetsockoptInt(int(f.fd), unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
			f.fail(os.NewSyscallError("connect", errors.Join(err, unix.Errno(code))))
			return false
		}
	}
	f.connected = events&unix.EPOLLOUT != 0
	if f.connected && f.echo == nil {
		f.over = true
	}
	return f.connected && !f.over
}

// send writes what there is to say. An error is left to the next read: what a server sent before it
// closed says more than our broken pipe.
func (f *flight) send() {
	out := f.echo.Output()
	if len(f.unsent) > 0 {
		f.unsent = append(f.unsent, out...)
		out = f.unsent
	}
	for len(out) > 0 {
		n, err := nonblock.Write(int(f.fd), out)
		if err != nil && err != unix.EINTR {
			break
		}
		out = out[max(n, 0):]
	}
	f.unsent = append(f.unsent[:0], out...)
}

// receive reads all there is and answers it. A read that does not fill the buffer has read all (epoll(7)),
// unless the end of the connection is still to be read.
func (f *flight) receive(buffer []byte, toTheEnd bool) {
	for !f.over {
		n, err := nonblock.Read(int(f.fd), buffer)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return
		case err != nil:
			f.fail(os.NewSyscallError("read", err))
			return
		case n == 0:
			f.echo.PeerClosed()
		default:
			f.echo.Feed(buffer[:n])
		}
		f.send()
		f.settle()
		if n < len(buffer) && !toTheEnd {
			return
		}
	}
}

// settle looks how far the conversation has come.
func (f *flight) settle() {
	f.over = f.over || f.echo.Done()
	if f.echo.Outcome() != nil && !f.parting {
		f.parting = true
		if until := time.Now().Add(releaseWait); until.Before(f.deadline) {
			f.deadline = until
		}
	}
}

// fail ends the flight because of an error.
func (f *flight) fail(err error) {
	f.err, f.over = err, true
	if f.echo != nil {
		f.stage = f.echo.Stage()
	}
}

// expire ends a flight whose time is up; false: it has ended before, or has time left.
func (f *flight) expire(now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over || f.deadline.After(now) {
		return false
	}
	f.abandon(context.DeadlineExceeded)
	return true
}

// cut ends a flight that nobody waits for any more; false: it has ended before.
func (f *flight) cut() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.over {
		return false
	}
	f.abandon(context.Canceled)
	return true
}

// abandon tells the server that we give up, so that it does not hold the association open. One that
// has been asked to release it knows.
func (f *flight) abandon(why error) {
	f.fail(why)
	if f.connected && f.echo != nil && !f.parting {
		f.echo.Abort()
		f.send()
	}
}
