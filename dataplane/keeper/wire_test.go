package keeper

import (
	"encoding/binary"
	"net"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func socketPair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return connOf(t, fds[0]), connOf(t, fds[1])
}

func connOf(t testing.TB, fd int) *net.UnixConn {
	t.Helper()
	f := os.NewFile(uintptr(fd), "pair")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		t.Fatal(err)
	}
	return c.(*net.UnixConn)
}

// FuzzReceive feeds arbitrary bytes to the receiver: it must return, with memory bounded by
// what arrives.
func FuzzReceive(f *testing.F) {
	f.Add([]byte{})
	f.Add(frame(`{"kind":"config"}`))
	f.Add(frame(`{"kind":"hello","sockets":3,"hello":{"version":1}}`))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, '{'})
	f.Add(frame(`{"kind":`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, b := socketPair(t)
		defer b.Close()
		_ = a.SetWriteDeadline(time.Now().Add(time.Second))
		go func() {
			defer a.Close()
			_, _ = a.Write(data)
		}()
		w := &wire{conn: b}
		for {
			if _, sockets, err := w.receive(); err != nil {
				return
			} else if len(sockets) != 0 {
				t.Fatal("sockets out of nowhere")
			}
		}
	})
}

func frame(body string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)
}
