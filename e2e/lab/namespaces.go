package lab

import (
	"fmt"
	"runtime"

	"github.com/vishvananda/netns"
)

// within runs f on a thread that is in the network namespace; sockets that f opens
// stay there. F must not start goroutines that open sockets.
func within(ns netns.NsHandle, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			done <- fmt.Errorf("own network namespace: %w", err)
			return
		}
		defer home.Close()
		if err := netns.Set(ns); err != nil {
			done <- fmt.Errorf("enter network namespace: %w", err)
			return
		}
		err = f()
		if netns.Set(home) == nil {
			runtime.UnlockOSThread() // else the runtime ends the thread
		}
		done <- err
	}()
	return <-done
}
