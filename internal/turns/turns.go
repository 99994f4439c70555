package turns

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

const (
	agentLock  = "agent.lock"
	agentQueue = "agent.queue"
	proxyLock  = "proxy.lock"
)

// retry is how often a lock is looked at: it is free the moment the other process ends, and
// nothing else tells.
const retry = 50 * time.Millisecond

// Prepare makes the proxies' lock in dir. group may read it, which is enough to hold it: a proxy
// is not root and may not make files there.
func Prepare(dir string, group int) error {
	path := filepath.Join(dir, proxyLock)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDONLY, 0o640)
	if err == nil {
		err = errors.Join(f.Chown(-1, group), f.Chmod(0o640), f.Close())
	}
	if err != nil {
		return fmt.Errorf("make the proxies' lock %s: %w", path, err)
	}
	return nil
}

// Agent waits until no other agent acts on the host; meanwhile a cold-start agent that does
// gives its turn up. standby is called once if another one is still there at the second look.
func Agent(ctx context.Context, dir string, standby func()) (unlock func(), err error) {
	queue, err := openLock(dir, agentQueue)
	if err != nil {
		return nil, err
	}
	defer queue.Close() // leaves the queue
	lock, err := openLock(dir, agentLock)
	if err != nil {
		return nil, err
	}
	for look := 1; ; look++ {
		_, errQueue := try(queue, unix.LOCK_SH)
		acts, err := try(lock, unix.LOCK_EX)
		if acts {
			return func() { lock.Close() }, nil
		}
		if look == 2 {
			standby()
		}
		if err = errors.Join(err, errQueue, pause(ctx, retry)); err != nil {
			lock.Close()
			return nil, fmt.Errorf("wait for the agent that holds %s: %w", lock.Name(), err)
		}
	}
}

// ColdStartAgent runs act whenever no agent has acted for the time after, until ctx ends or act
// returns an error. The context of act ends when a regular agent wants to act; then act returns
// soon, leaving what is programmed, and ColdStartAgent stands by again.
func ColdStartAgent(ctx context.Context, dir string, after time.Duration, act func(context.Context) error) error {
	queue, err := openLock(dir, agentQueue)
	if err != nil {
		return err
	}
	defer queue.Close()
	lock, err := openLock(dir, agentLock)
	if err != nil {
		return err
	}
	defer lock.Close()
	for {
		err := await(ctx, after, func() (bool, error) {
			nobody, err := free(queue)
			if err != nil || !nobody {
				return false, err
			}
			return free(lock)
		})
		if err != nil {
			return stopped(ctx, err)
		}
		if err := takeTurn(ctx, queue, lock, act); err != nil || ctx.Err() != nil {
			return stopped(ctx, err)
		}
	}
}

// takeTurn runs act with the lock held until somebody stands in the queue.
func takeTurn(ctx context.Context, queue, lock *os.File, act func(context.Context) error) error {
	if acts, err := try(lock, unix.LOCK_EX); err != nil || !acts {
		return err
	}
	defer release(lock)
	ctx, yield := context.WithCancel(ctx)
	defer yield()
	ended := make(chan error, 1)
	go func() { ended <- act(ctx) }()
	for {
		select {
		case err := <-ended:
			return err
		case <-time.After(retry):
		}
		if nobody, err := free(queue); err != nil || !nobody {
			yield()
			return errors.Join(err, <-ended)
		}
	}
}

// HoldProxy holds the lock of the regular proxies until ctx ends. Where no agent has made it yet
// it waits for that: no cold-start proxy acts there either.
func HoldProxy(ctx context.Context, dir string) {
	for ctx.Err() == nil {
		f, err := os.Open(filepath.Join(dir, proxyLock))
		if err == nil {
			if held, _ := try(f, unix.LOCK_SH); held {
				<-ctx.Done()
			}
			f.Close()
		}
		_ = pause(ctx, retry)
	}
}

// ProxyLives tells whether a regular proxy may accept connections. Where there is no lock, none
// of this version lives.
func ProxyLives(dir string) (bool, error) {
	f, err := os.Open(filepath.Join(dir, proxyLock))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at the proxies' lock: %w", err)
	}
	defer f.Close()
	nobody, err := free(f)
	return !nobody, err
}

// AwaitNoProxy returns when no regular proxy has lived for the time after, or with an error when
// ctx ends. Before an agent has made the lock there is nothing to serve, and it waits.
func AwaitNoProxy(ctx context.Context, dir string, after time.Duration) error {
	return await(ctx, after, func() (bool, error) {
		f, err := os.Open(filepath.Join(dir, proxyLock))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
			return false, nil // the agent is about to make it
		}
		if err != nil {
			return false, fmt.Errorf("look at the proxies' lock: %w", err)
		}
		defer f.Close()
		return free(f)
	})
}
