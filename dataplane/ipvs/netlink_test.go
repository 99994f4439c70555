package ipvs

import (
	"context"
	"errors"
	"syscall"
	"testing"

	moby "github.com/moby/ipvs"
	"golang.org/x/sys/unix"
)

// TestHangingCallIsCut has a library that waits for the kernel without end.
func TestHangingCallIsCut(t *testing.T) {
	n := &Netlink{handle: &moby.Handle{}}
	ctx, cancel := context.WithCancel(t.Context())
	entered, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	go func() { <-entered; cancel() }()
	err := n.call(ctx, func(*moby.Handle) error {
		close(entered)
		<-release
		return nil
	})
	if !errors.Is(err, context.Canceled) || n.handle != nil {
		t.Errorf("got %v and handle %v, want the call cut and the socket dropped", err, n.handle)
	}
}

func TestPanicOfTheLibraryIsAnError(t *testing.T) {
	n := &Netlink{handle: &moby.Handle{}}
	err := n.call(t.Context(), func(*moby.Handle) error { return [][]error{}[0][0] })
	if err == nil || n.handle != nil {
		t.Errorf("got %v and handle %v", err, n.handle)
	}
}

// TestSocketIsKeptAfterAnswers: the kernel's no is an answer, anything else puts us out of step.
func TestSocketIsKeptAfterAnswers(t *testing.T) {
	for err, want := range map[error]bool{syscall.EEXIST: true, syscall.ESRCH: true, syscall.EIO: false, errors.New("wrong pid"): false} {
		n := &Netlink{handle: &moby.Handle{}}
		if got := n.call(t.Context(), func(*moby.Handle) error { return err }); !errors.Is(got, err) || (n.handle != nil) != want {
			t.Errorf("after %v the call returned %v and the socket is kept: %t, want %t", err, got, n.handle != nil, want)
		}
	}
}

// TestLookingForIPVS: the kernel has it or not; either way the answer must be clear.
func TestLookingForIPVS(t *testing.T) {
	n := &Netlink{}
	defer n.Close()
	_, err := n.Timeouts(t.Context())
	if err != nil && !errors.Is(err, ErrModuleMissing) {
		t.Errorf("got %v", err)
	}
}

func TestNetmasks(t *testing.T) {
	for length := 0; length <= 32; length++ {
		if got := prefixLength(netmask(length, unix.AF_INET), unix.AF_INET); got != length {
			t.Errorf("/%d comes back as /%d", length, got)
		}
	}
	if got := netmask(32, unix.AF_INET); got != 0xffffffff {
		t.Errorf("/32 is %#x", got)
	}
	if got := prefixLength(netmask(24, unix.AF_INET)&^1, unix.AF_INET); got != -1 {
		t.Errorf("a mask with holes is /%d", got)
	}
	if got := netmask(64, unix.AF_INET6); got != 64 {
		t.Errorf("IPv6 /64 is %d", got)
	}
}
