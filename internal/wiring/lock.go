package wiring

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// retryLock is how often a standby looks whether the lock is free: it is free the moment the
// other process ends, and nothing else tells.
const retryLock = 50 * time.Millisecond

// lock takes an exclusive flock(2) on path, which the kernel drops when the process ends.
func lock(ctx context.Context, path string, standby func()) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	for first := true; ; first = false {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if first {
			standby()
		}
		select {
		case <-ctx.Done():
			f.Close()
			return nil, fmt.Errorf("another agent holds %s: %w", path, ctx.Err())
		case <-time.After(retryLock):
		}
	}
}
