package turns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

func openLock(dir, name string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock: %w", err)
	}
	return f, nil
}

// try takes the lock if it can be had at once; how is LOCK_EX or LOCK_SH of flock(2).
func try(f *os.File, how int) (held bool, err error) {
	for {
		err = unix.Flock(int(f.Fd()), how|unix.LOCK_NB)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

func release(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// free tells whether nobody else holds the lock. Whoever tries in the same moment has to try
// again, as all here do.
func free(f *os.File) (bool, error) {
	held, err := try(f, unix.LOCK_EX)
	if held {
		release(f)
	}
	return held, err
}

// await returns when vacant has been true at every look for the time after.
func await(ctx context.Context, after time.Duration, vacant func() (bool, error)) error {
	since := time.Now()
	tick := max(retry, after/30)
	for {
		ok, err := vacant()
		if err != nil {
			return err
		}
		if !ok {
			since = time.Now()
		} else if time.Since(since) >= after {
			return nil
		}
		if err := pause(ctx, tick); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// stopped makes no error of being told to stop.
func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil
	}
	return err
}
