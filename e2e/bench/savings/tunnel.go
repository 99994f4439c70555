package savings

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// tunnelDevice is the interface on which a server gets what came through the tunnel.
const tunnelDevice = "ipip0"

// tunnelEnd is the server's end of an IPIP tunnel (RFC 2003) in the process, for hosts whose kernel
// has none. It takes the outer header away and gives the rest to the host as received on
// tunnelDevice. Make it in the host's network namespace.
type tunnelEnd struct {
	raw    int // socket of protocol 4
	device *os.File
	done   chan struct{}
}

// newTunnelEnd makes the interface, which the caller brings up, and starts.
func newTunnelEnd() (*tunnelEnd, error) {
	device, err := openTun(tunnelDevice)
	if err != nil {
		return nil, fmt.Errorf("tunnel: interface %s: %w", tunnelDevice, err)
	}
	raw, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_IPIP)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tunnel: socket: %w", err), device.Close())
	}
	end := &tunnelEnd{raw: raw, device: device, done: make(chan struct{})}
	// Room for bursts, and a way out of the read when the test is over.
	err = errors.Join(
		unix.SetsockoptInt(raw, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 16<<20),
		unix.SetsockoptTimeval(raw, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: 200_000}))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("tunnel: socket: %w", err), unix.Close(raw), device.Close())
	}
	return end, nil
}

// openTun makes a TUN device whose packets have a header of virtio_net (linux/if_tun.h).
func openTun(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_VNET_HDR)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

const (
	virtioHeader = 10
	// checksumGood is VIRTIO_NET_HDR_F_DATA_VALID: within one computer, senders leave checksums to
	// hardware that is not there, so that the inner packet's may be missing.
	checksumGood = 2
	minimalIP    = 20
)

// run carries packets until close.
func (e *tunnelEnd) run(stop <-chan struct{}) error {
	defer close(e.done)
	packet := make([]byte, virtioHeader+1<<16)
	for {
		select {
		case <-stop:
			return nil
		default:
		}
		n, _, err := unix.Recvfrom(e.raw, packet[virtioHeader:], 0)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return fmt.Errorf("tunnel: %w", err)
		}
		if inner := innerPacket(packet[:virtioHeader+n]); inner != nil {
			if _, err := unix.Write(int(e.device.Fd()), inner); err != nil {
				return fmt.Errorf("tunnel: %w", err)
			}
		}
	}
}

// innerPacket turns virtioHeader bytes of room and a packet into one for the device, in place; nil
// if there is none in it.
func innerPacket(b []byte) []byte {
	outer := b[virtioHeader:]
	if len(outer) < 2*minimalIP {
		return nil
	}
	length := int(outer[0]&0xf) * 4
	if length < minimalIP || len(outer) < length+minimalIP || outer[length]>>4 != 4 {
		return nil
	}
	inner := b[length:]
	clear(inner[:virtioHeader])
	inner[0] = checksumGood
	return inner
}

// close ends what run does, then the socket and the interface.
func (e *tunnelEnd) close() error {
	<-e.done
	return errors.Join(unix.Close(e.raw), e.device.Close())
}
