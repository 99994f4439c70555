package keeper

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxFrame bounds a frame: 1,024 listeners with certificates fit many times over.
	maxFrame = 64 << 20
	// maxSockets is how many descriptors one frame carries (SCM_MAX_FD is 253).
	maxSockets = 128
	headerLen  = 4
	// sendTimeout cuts a peer that does not read.
	sendTimeout = 10 * time.Second
)

// wire sends and receives messages on one unix stream connection. One goroutine may receive
// while others send.
type wire struct {
	conn *net.UnixConn
	mu   sync.Mutex // serialises send
}

// send writes a message with sockets attached; they stay the caller's.
func (w *wire) send(m message, sockets ...*Socket) error {
	m.Sockets = len(sockets)
	body, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode %s message: %w", m.Kind, err)
	}
	if len(body) > maxFrame {
		return fmt.Errorf("%s message has %d bytes, more than %d", m.Kind, len(body), maxFrame)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.write(body, sockets); err != nil {
		return fmt.Errorf("send %s message: %w", m.Kind, err)
	}
	return nil
}

func (w *wire) write(body []byte, sockets []*Socket) error {
	if err := w.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return err
	}
	var oob []byte
	if len(sockets) > 0 {
		fds := make([]int, len(sockets))
		for i, s := range sockets {
			fds[i] = s.fd
		}
		oob = unix.UnixRights(fds...)
	}
	header := binary.BigEndian.AppendUint32(nil, uint32(len(body)))
	if _, _, err := w.conn.WriteMsgUnix(header, oob, nil); err != nil {
		return err
	}
	_, err := w.conn.Write(body)
	return err
}

// sendSockets sends sockets in as many frames as needed.
func (w *wire) sendSockets(sockets []*Socket) error {
	for len(sockets) > 0 {
		n := min(len(sockets), maxSockets)
		if err := w.send(message{Kind: kindSockets}, sockets[:n]...); err != nil {
			return err
		}
		sockets = sockets[n:]
	}
	return nil
}

// receive reads the next message; the sockets it came with are the caller's.
func (w *wire) receive() (message, []*Socket, error) {
	var header [headerLen]byte
	fds, err := w.readHeader(header[:])
	if err != nil {
		closeAll(fds)
		return message{}, nil, err
	}
	m, err := w.readBody(binary.BigEndian.Uint32(header[:]))
	if err == nil && len(fds) != m.Sockets {
		err = fmt.Errorf("%d sockets announced but %d received", m.Sockets, len(fds))
	}
	if err != nil {
		closeAll(fds)
		return message{}, nil, err
	}
	sockets, err := adoptAll(fds)
	return m, sockets, err
}

func (w *wire) readBody(size uint32) (message, error) {
	var m message
	if size > maxFrame {
		return m, fmt.Errorf("frame of %d bytes is more than %d", size, maxFrame)
	}
	// LimitReader and not a buffer of the claimed size: memory grows with what arrives.
	body, err := io.ReadAll(io.LimitReader(w.conn, int64(size)))
	if err == nil && len(body) < int(size) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return m, err
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return m, fmt.Errorf("decode message: %w", err)
	}
	return m, nil
}

func (w *wire) readHeader(header []byte) (fds []int, err error) {
	oob := make([]byte, unix.CmsgSpace(maxSockets*4))
	for got := 0; got < headerLen; {
		n, oobn, flags, _, err := w.conn.ReadMsgUnix(header[got:], oob)
		if oobn > 0 {
			more, perr := parseRights(oob[:oobn])
			fds = append(fds, more...)
			err = errors.Join(err, perr)
		}
		if flags&syscall.MSG_CTRUNC != 0 {
			err = errors.Join(err, errors.New("more sockets in one frame than allowed"))
		}
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err != nil {
			return fds, err
		}
		got += n
	}
	return fds, nil
}

func parseRights(oob []byte) ([]int, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	var all []int
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // not SCM_RIGHTS
		}
		all = append(all, fds...)
	}
	return all, nil
}

// adoptAll turns descriptors into sockets; on an error all of them are closed.
func adoptAll(fds []int) ([]*Socket, error) {
	sockets := make([]*Socket, 0, len(fds))
	for _, fd := range fds {
		s, err := adopt(fd)
		if err != nil {
			closeAll(fds)
			return nil, err
		}
		sockets = append(sockets, s)
	}
	return sockets, nil
}

func closeAll(fds []int) {
	for _, fd := range fds {
		_ = unix.Close(fd)
	}
}
