package netwatch

import (
	"context"
	"fmt"
	"sync"
	"time"
)

const (
	// defaultSettle gathers the messages of one change: a table that is deleted sends hundreds.
	defaultSettle = 100 * time.Millisecond
	// defaultSpacing keeps a host that changes all the time, such as one with many containers, from
	// being looked at all the time.
	defaultSpacing = time.Second
)

// Watcher watches the network namespace of the thread that calls Watch.
type Watcher struct {
	// Table is the nftables table of family inet that is watched; those of others are not.
	Table string
	// Settle is the time from a change until it is told. Absent: 100 ms.
	Settle time.Duration
	// Spacing is the least time between two changes that are told. Absent: 1 s.
	Spacing time.Duration
}

// Watch calls changed, from a goroutine of its own, Settle after the first of some changes and not
// sooner than Spacing after it was last called, until ctx ends. Messages that the kernel had no room
// for count as a change. An error says that the kernel lets nobody watch; it is never about ctx.
func (w Watcher) Watch(ctx context.Context, changed func()) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news := make(chan struct{}, 1)
	sources := []source{routing(), packetFilter(w.Table)}
	var reading sync.WaitGroup
	defer reading.Wait()
	defer cancel()
	failed := make(chan error, len(sources))
	for _, s := range sources {
		conn, err := s.open()
		if err != nil {
			return fmt.Errorf("watch %s: %w", s.what, err)
		}
		reading.Go(func() {
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			if err := s.read(conn, news); err != nil && ctx.Err() == nil {
				failed <- fmt.Errorf("watch %s: %w", s.what, err)
			}
		})
	}
	return w.tell(ctx, news, failed, changed)
}

// tell passes news on until ctx ends or a source fails.
func (w Watcher) tell(ctx context.Context, news <-chan struct{}, failed <-chan error, changed func()) error {
	settle, spacing := orDefault(w.Settle, defaultSettle), orDefault(w.Spacing, defaultSpacing)
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-failed:
			return err
		case <-news:
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(settle, spacing-time.Since(last))):
		}
		// What came meanwhile is told with it.
		select {
		case <-news:
		default:
		}
		last = time.Now()
		changed()
	}
}

func orDefault(d, absent time.Duration) time.Duration {
	if d <= 0 {
		return absent
	}
	return d
}
