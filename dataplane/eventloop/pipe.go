package eventloop

import (
	"time"

	"github.com/truepacs/balancer/dataplane/nonblock"
)

const (
	// sparePipes is how many pipes a loop keeps when nobody needs them.
	sparePipes = 16
	// smallestPipe is the size below which copying is cheaper; the kernel makes pipes of 8 KiB for a user who has too
	// much in pipes (pipe-user-pages-soft, pipe(7)).
	smallestPipe = 64 << 10
	// pipeRest is how long no pipe is made after one was refused or too small.
	pipeRest = time.Second
)

// Pipe holds bytes in the kernel on their way from one socket to another.
type Pipe struct {
	read, write int
	size        int
	held        int
}

// Held is how many bytes are in the pipe.
func (p *Pipe) Held() int { return p.held }

// Fill moves bytes from a socket into the pipe, which is empty, and returns how many; 0 is the socket's end.
func (p *Pipe) Fill(from int) (int, error) { return p.FillMost(from, p.size) }

// FillMost is Fill of at most so many bytes.
func (p *Pipe) FillMost(from, most int) (int, error) {
	n, err := nonblock.Splice(from, p.write, min(most, p.size-p.held))
	p.held += n
	return n, err
}

// Drain moves bytes from the pipe, which is not empty, to a socket, and returns how many.
func (p *Pipe) Drain(to int) (int, error) {
	n, err := nonblock.Splice(p.read, to, p.held)
	p.held -= n
	return n, err
}

func (p *Pipe) close() {
	_ = nonblock.Close(p.read)
	_ = nonblock.Close(p.write)
}

type pipes struct {
	size  int
	spare []*Pipe
	lent  int
	retry time.Duration // not before this time
}

// TakePipe lends an empty pipe; nil: there is none to be had, copy instead. A user has a quota of pages in pipes
// and each process one of descriptors, so borrow it only when bytes are there and give it back when they are gone.
func (l *Loop) TakePipe() *Pipe {
	p := l.pipes.take(l.now)
	if p != nil {
		l.pipes.lent++
	}
	return p
}

func (s *pipes) take(now time.Duration) *Pipe {
	if n := len(s.spare); n > 0 {
		p := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return p
	}
	if now < s.retry {
		return nil
	}
	read, write, size, err := nonblock.Pipe2(s.size)
	if err != nil {
		s.retry = now + pipeRest
		if read >= 0 {
			(&Pipe{read: read, write: write}).close()
		}
		return nil
	}
	p := &Pipe{read: read, write: write, size: min(size, s.size)}
	if size < smallestPipe && size < s.size {
		s.retry = now + pipeRest
		p.close()
		return nil
	}
	return p
}

// GivePipe takes a pipe back; bytes that are still in it are lost.
func (l *Loop) GivePipe(p *Pipe) {
	l.pipes.lent--
	if p.held > 0 || len(l.pipes.spare) >= sparePipes {
		p.close()
		return
	}
	l.pipes.spare = append(l.pipes.spare, p)
}

// PipesLent is how many pipes are out.
func (l *Loop) PipesLent() int { return l.pipes.lent }

func (s *pipes) release() {
	for _, p := range s.spare {
		p.close()
	}
	s.spare = nil
}
