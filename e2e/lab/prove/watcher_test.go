package prove_test

import (
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/lab/pcap"
)

// Timing of the watcher: how often it asks, and how long no answer means silence.
const (
	askPeriod = 5 * time.Millisecond
	silence   = 500 * time.Millisecond
	patience  = 30 * time.Second
)

// watcher asks for an address by ARP all the time and notes when it was answered.
type watcher struct {
	fd    int
	index int
	mac   net.HardwareAddr
	host  netip.Addr
	asked netip.Addr

	mu     sync.Mutex
	last   time.Time
	gap    time.Duration // longest between two answers since the last reset
	count  int
	answer net.HardwareAddr
}

func newWatcher(t *testing.T, client *lab.Namespace, address string) *watcher {
	t.Helper()
	w := &watcher{host: netip.MustParseAddr(clientAddress), asked: netip.MustParseAddr(address)}
	must(t, client.Enter(w.open))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { w.ask(ctx) })
	running.Go(func() { w.listen(ctx) })
	t.Cleanup(func() {
		cancel()
		running.Wait()
		_ = unix.Close(w.fd)
	})
	return w
}

// open opens a raw socket for ARP in the namespace it is called in.
func (w *watcher) open() error {
	link, err := net.InterfaceByName(nic)
	if err != nil {
		return err
	}
	w.index, w.mac = link.Index, link.HardwareAddr
	protocol := int(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ARP)))
	if w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol); err != nil {
		return err
	}
	if err := unix.SetsockoptTimeval(w.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 50_000}); err != nil {
		return err
	}
	return unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: uint16(protocol), Ifindex: w.index})
}

// request is an ARP request as broadcast (RFC 826).
func (w *watcher) request() []byte {
	frame := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	frame = append(frame, w.mac...)
	frame = append(frame, 0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1)
	frame = append(frame, w.mac...)
	frame = append(frame, w.host.AsSlice()...)
	frame = append(frame, 0, 0, 0, 0, 0, 0)
	frame = append(frame, w.asked.AsSlice()...)
	return append(frame, make([]byte, 18)...)
}

func (w *watcher) ask(ctx context.Context) {
	ticker := time.NewTicker(askPeriod)
	defer ticker.Stop()
	for request := w.request(); ctx.Err() == nil; <-ticker.C {
		_, _ = unix.Write(w.fd, request)
	}
}

func (w *watcher) listen(ctx context.Context) {
	buffer := make([]byte, 2048)
	for ctx.Err() == nil {
		n, _, err := unix.Recvfrom(w.fd, buffer, 0)
		if err != nil {
			continue // the receive timeout
		}
		if f := pcap.Decode(buffer[:n]); f.ARPOperation == pcap.ARPReply && f.Source == w.asked {
			w.note(f.ARPSourceMAC)
		}
	}
}

func (w *watcher) note(mac net.HardwareAddr) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	if !w.last.IsZero() {
		w.gap = max(w.gap, now.Sub(w.last))
	}
	w.last, w.count, w.answer = now, w.count+1, append(w.answer[:0], mac...)
}

func (w *watcher) lastReply() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last
}

// resetGap starts a new period of observation; longestGap ends it.
func (w *watcher) resetGap() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.gap, w.last, w.count = 0, time.Now(), 0
}

func (w *watcher) longestGap() (time.Duration, int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return max(w.gap, time.Since(w.last)), w.count
}

// awaitReply returns the time of the first answer after now.
func (w *watcher) awaitReply(t *testing.T) time.Time {
	t.Helper()
	from := time.Now()
	for time.Since(from) < patience {
		if last := w.lastReply(); last.After(from) {
			return last
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("no answer for %s in %s", w.asked, patience)
	return time.Time{}
}

// awaitSilence returns the time of the last answer once none has come for a while.
func (w *watcher) awaitSilence(t *testing.T) time.Time {
	t.Helper()
	from := time.Now()
	for time.Since(from) < patience {
		last := w.lastReply()
		if time.Since(from) > silence && time.Since(last) > silence {
			return last
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatalf("answers for %s do not end in %s", w.asked, patience)
	return time.Time{}
}
