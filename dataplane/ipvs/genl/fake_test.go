package genl

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

const fakePort = 4711

// fakeKernel is the kernel's end of the wire: answer makes the datagrams that answer a request.
type fakeKernel struct {
	t        *testing.T
	family   uint16 // 0: the module is not loaded
	answer   func(request message) [][]byte
	queue    [][]byte
	sends    int
	requests int
	loss     int  // which receive from now on reports a loss; 0: none
	foreign  bool // what is received comes from another program
	cut      bool // what is received did not fit
	buffer   int  // the receive buffer's size; 0: much
	closed   bool
}

var _ wire = (*fakeKernel)(nil)

func (k *fakeKernel) send(b []byte) error {
	k.sends++
	for len(b) > 0 {
		var m message
		var err error
		if m, b, err = cutMessage(b); err != nil {
			k.t.Errorf("the kernel got a bad datagram: %v", err)
			return nil
		}
		k.requests++
		switch {
		case m.kind == controlFamily:
			k.queue = append(k.queue, k.lookUp(m))
		case m.flags&unix.NLM_F_DUMP == unix.NLM_F_DUMP && len(k.queue) > 0: // the last list is not read
			k.queue = append(k.queue, status(m, unix.EBUSY))
		case m.kind != k.family:
			k.queue = append(k.queue, status(m, unix.ENOENT))
		default:
			k.queue = append(k.queue, k.answer(m)...)
		}
	}
	return nil
}

func (k *fakeKernel) lookUp(m message) []byte {
	if k.family == 0 {
		return status(m, unix.ENOENT)
	}
	return data(m, controlFamily, 0, controlNew, attribute16(attributeName(nil, controlName, familyName), controlID, k.family))
}

func (k *fakeKernel) receive(ctx context.Context, b []byte) (n int, from uint32, whole bool, err error) {
	if k.closed {
		return 0, 0, false, ErrClosed
	}
	if k.loss > 0 {
		if k.loss--; k.loss == 0 {
			return 0, 0, true, unix.ENOBUFS
		}
	}
	if len(k.queue) == 0 {
		<-ctx.Done()
		return 0, 0, false, fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
	}
	n = copy(b, k.queue[0])
	k.queue = k.queue[1:]
	if k.foreign {
		from = 99
	}
	return n, from, !k.cut, nil
}

func (k *fakeKernel) waiting(b []byte) bool {
	if len(k.queue) == 0 {
		return false
	}
	copy(b, k.queue[0])
	k.queue = k.queue[1:]
	return true
}

func (k *fakeKernel) port() uint32 { return fakePort }

func (k *fakeKernel) space() int {
	if k.buffer == 0 {
		return 1 << 21
	}
	return k.buffer
}

func (k *fakeKernel) Close() error {
	k.closed = true
	return nil
}

// data is one message of a family that answers a request.
func data(m message, family, flags uint16, command Command, payload []byte) []byte {
	b := begin(nil, family, flags&^unix.NLM_F_REQUEST, m.seq, uint8(command), familyVersion)
	binary.NativeEndian.PutUint16(b[6:], flags)
	binary.NativeEndian.PutUint32(b[12:], fakePort)
	return finish(append(b, payload...), 0)
}

// status is NLMSG_ERROR for a request.
func status(m message, errno unix.Errno) []byte {
	b := make([]byte, messageHeader+4+messageHeader)
	binary.NativeEndian.PutUint32(b, uint32(len(b)))
	binary.NativeEndian.PutUint16(b[4:], unix.NLMSG_ERROR)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_CAPPED)
	binary.NativeEndian.PutUint32(b[8:], m.seq)
	binary.NativeEndian.PutUint32(b[12:], fakePort)
	binary.NativeEndian.PutUint32(b[16:], uint32(-int32(errno)))
	return b
}

// worded is a status with the kernel's words (NLMSGERR_ATTR_MSG).
func worded(m message, errno unix.Errno, text string) []byte {
	b := status(m, errno)
	binary.NativeEndian.PutUint16(b[6:], unix.NLM_F_CAPPED|unix.NLM_F_ACK_TLVS)
	return finish(attribute(b, unix.NLMSGERR_ATTR_MSG, append([]byte(text), 0)...), 0)
}

// done ends a list.
func done(m message, flags uint16) []byte {
	b := status(m, 0)[:messageHeader+4]
	binary.NativeEndian.PutUint16(b[4:], unix.NLMSG_DONE)
	binary.NativeEndian.PutUint16(b[6:], flags|unix.NLM_F_MULTI)
	return finish(b, 0)
}

const fakeFamily = 30

// fake returns a client of a kernel whose module is loaded.
func fake(t *testing.T, config Config, answer func(*fakeKernel, message) [][]byte) (*Client, *fakeKernel) {
	t.Helper()
	k := &fakeKernel{t: t, family: fakeFamily}
	k.answer = func(m message) [][]byte { return answer(k, m) }
	return newClient(k, config), k
}

func marked(mark uint32) Service {
	return Service{ServiceID: ByMark(mark, false), Scheduler: "rr", PrefixLength: 32}
}

// listing answers a dump with services by mark.
func listing(m message, flags uint16, marks ...uint32) [][]byte {
	var all [][]byte
	for _, mark := range marks {
		s := marked(mark)
		all = append(all, data(m, fakeFamily, unix.NLM_F_MULTI, NewService, appendService(nil, &s, true)))
	}
	return append(all, done(m, flags))
}
