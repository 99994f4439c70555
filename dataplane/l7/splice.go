package l7

import (
	"io"

	"golang.org/x/sys/unix"
)

// spliceLeast is from how many waiting bytes on splice is cheaper than a read and a write.
const spliceLeast = 16 << 10

// splicer moves bytes between two plain sockets within the kernel. It asks how many bytes wait
// before it starts, so that the pipe which net.TCPConn.ReadFrom borrows is never held while
// nothing moves.
type splicer struct {
	limited io.LimitedReader
	waiting int
	probe   func(fd uintptr) bool
}

func (p *splicer) possible(src, dst *stream) bool {
	return src.tcp != nil && dst.tcp != nil && src.r == src.w
}

// run moves up to most bytes for as long as many are waiting.
func (p *splicer) run(src, dst *stream, w *watch, most int64) (moved int64, err error) {
	if p.probe == nil {
		p.probe = p.count
	}
	for moved < most {
		if err := src.raw.Read(p.probe); err != nil {
			return moved, &sourceError{err}
		}
		if p.waiting < spliceLeast {
			return moved, nil
		}
		p.limited = io.LimitedReader{R: src.tcp, N: min(int64(p.waiting), most-moved)}
		n, err := dst.tcp.ReadFrom(&p.limited)
		moved += n
		w.touch()
		if err != nil {
			return moved, &sinkError{err}
		}
		if n == 0 {
			return moved, nil
		}
	}
	return moved, nil
}

// count asks how many bytes wait in the socket (tcp(7), SIOCINQ).
func (p *splicer) count(fd uintptr) bool {
	n, err := unix.IoctlGetInt(int(fd), unix.TIOCINQ)
	if err != nil {
		n = 0
	}
	p.waiting = n
	return true
}
