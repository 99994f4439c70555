package provoke

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/drain"
)

// far is half of the space of sequence numbers. No window is larger than a quarter of it (RFC 7323
// section 2.3), so of two segments that lie this far from each other one is out of place.
const far = 1 << 31

// All sends each client what makes it answer, in the name of the virtual address. It does not wait
// and needs CAP_NET_RAW. Clients that cannot be reached are no error: the next call tries again.
func All(ctx context.Context, flows []drain.Flow) error {
	for _, family := range []int{unix.AF_INET, unix.AF_INET6} {
		if err := provoke(ctx, family, flows); err != nil {
			return fmt.Errorf("make silent clients answer: %w", err)
		}
	}
	return nil
}

func provoke(ctx context.Context, family int, flows []drain.Flow) error {
	fd := -1
	for _, flow := range flows {
		if flow.Client.Addr().Is4() != (family == unix.AF_INET) {
			continue
		}
		if fd < 0 {
			var err error
			// This protocol can only send, and the caller makes the header.
			if fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW); err != nil {
				return fmt.Errorf("open a raw socket, which needs CAP_NET_RAW: %w", err)
			}
			defer unix.Close(fd)
		}
		if err := errors.Join(ctx.Err(), send(fd, flow)); err != nil {
			return err
		}
	}
	return nil
}

func send(fd int, flow drain.Flow) error {
	seq := rand.Uint32()
	for _, seq := range []uint32{seq, seq + far} {
		err := unix.Sendto(fd, packet(flow.Virtual, flow.Client, seq, rand.Uint32()), 0, sockaddr(flow))
		switch {
		case errors.Is(err, unix.EPERM), errors.Is(err, unix.EBADF), errors.Is(err, unix.EINVAL):
			return fmt.Errorf("send to a client: %w", err)
		}
	}
	return nil
}

func sockaddr(flow drain.Flow) unix.Sockaddr {
	if client := flow.Client.Addr(); client.Is4() {
		return &unix.SockaddrInet4{Addr: client.As4()}
	}
	return &unix.SockaddrInet6{Addr: flow.Client.Addr().As16()}
}
