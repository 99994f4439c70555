package checks

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// wire carries Ethernet frames between two hosts and notes when servers break connections off.
type wire struct {
	ends    [2]int // descriptors of TAP devices
	carried atomic.Int64
	stop    atomic.Bool
	done    sync.WaitGroup

	mu sync.Mutex
	// said is what the first connection to dicomPort was used to say, piece by piece, and from which port.
	said [][]byte
	from uint16
	// parting are the connections that the client has ended, broken is when servers refused, reset or ended others.
	parting map[connection]bool
	broken  map[netip.Addr][]time.Time
}

// connection is one by its server and the client's port.
type connection struct {
	server netip.Addr
	port   uint16
}

// connect gives both hosts an interface wire0 at the ends of a wire, the first of them sends requests.
func connect(t *testing.T, asking, answering *netnstest.Far) *wire {
	t.Helper()
	w := &wire{parting: map[connection]bool{}, broken: map[netip.Addr][]time.Time{}}
	for i, host := range []*netnstest.Far{asking, answering} {
		var err error
		host.Do(func() { w.ends[i], err = openTap("wire0") })
		if err != nil {
			t.Fatalf("a TAP device is needed: %v", err)
		}
		t.Cleanup(func() { unix.Close(w.ends[i]) })
	}
	w.done.Go(w.carry)
	t.Cleanup(func() {
		w.stop.Store(true)
		w.done.Wait()
	})
	return w
}

// openTap makes a TAP device in the calling thread's namespace (linux/if_tun.h).
func openTap(name string) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("open /dev/net/tun", err)
	}
	request, err := unix.NewIfreq(name)
	if err != nil {
		return -1, err
	}
	request.SetUint16(unix.IFF_TAP | unix.IFF_NO_PI)
	return fd, os.NewSyscallError("TUNSETIFF", unix.IoctlIfreq(fd, unix.TUNSETIFF, request))
}

// carry moves frames until it is stopped. It never sleeps: to wake it up would cost the sender more
// than to put a frame on a real wire. Everyone else goes first.
func (w *wire) carry() {
	runtime.LockOSThread()
	_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), 19)
	frame := make([]byte, 65536)
	for !w.stop.Load() {
		for i, from := range w.ends {
			n, err := unix.Read(from, frame)
			if err != nil {
				continue
			}
			w.note(frame[:n], i == 1)
			for !w.stop.Load() {
				if _, err := unix.Write(w.ends[1-i], frame[:n]); err != unix.EAGAIN {
					break
				}
			}
			w.carried.Add(1)
		}
	}
}

// note looks what a frame says: whether an end closes or resets a connection (RFC 9293 section 3.1), or what is asked of the
// first DICOM server.
func (w *wire) note(frame []byte, ofServer bool) {
	const ethernet, header, tcp, fin, rst = 14, 20, 6, 1, 4
	if len(frame) < ethernet+header+20 || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_IP || frame[ethernet+9] != tcp {
		return
	}
	packet := frame[ethernet : ethernet+int(binary.BigEndian.Uint16(frame[ethernet+2:]))]
	segment := packet[4*int(packet[0]&15):]
	payload, flags := segment[4*int(segment[12]>>4):], segment[13]
	w.mu.Lock()
	defer w.mu.Unlock()
	if ofServer {
		c := connection{netip.AddrFrom4([4]byte(packet[12:16])), binary.BigEndian.Uint16(segment[2:])}
		switch {
		case flags&(fin|rst) == 0:
		case flags&rst == 0 && w.parting[c]:
			delete(w.parting, c)
		default:
			w.broken[c.server] = append(w.broken[c.server], time.Now())
		}
		return
	}
	c := connection{netip.AddrFrom4([4]byte(packet[16:20])), binary.BigEndian.Uint16(segment)}
	if flags&fin != 0 {
		w.parting[c] = true
	}
	if len(payload) > 0 && binary.BigEndian.Uint16(segment[2:]) == dicomPort && (w.from == 0 || w.from == c.port) {
		w.from, w.said = c.port, append(w.said, bytes.Clone(payload))
	}
}

// breaks is how often a server broke a connection off between two times.
func (w *wire) breaks(server netip.Addr, after, before time.Time) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, at := range w.broken[server] {
		if at.After(after) && at.Before(before) {
			n++
		}
	}
	return n
}
