package main

import (
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// readyFile is on the pod's own emptyDir.
const readyFile = "/state/ready"

func ready([]string) error {
	_, err := os.Stat(readyFile)
	return err
}

// act is an agent in small: it is Ready as a standby, acts while it holds the lock in directory args[0], and
// writes down there what happens, as "<unix ms> <args[1]> <event>". After SIGTERM it goes on acting for args[2],
// then releases the lock and ends; with "never" it ignores the signal.
func act(args []string) error {
	note := func(event string) { journal(args[0], args[1], event) }
	note("started")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	if err := os.WriteFile(readyFile, nil, 0o600); err != nil {
		return err
	}
	lock, err := os.OpenFile(filepath.Join(args[0], "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	go func() {
		if unix.Flock(int(lock.Fd()), unix.LOCK_EX) == nil {
			note("acts")
		}
	}()
	<-stop
	note("sigterm")
	if args[2] == "never" {
		select {}
	}
	linger, err := time.ParseDuration(args[2])
	if err != nil {
		return err
	}
	time.Sleep(linger)
	note("releases")
	return lock.Close()
}

func journal(dir, who, event string) {
	f, err := os.OpenFile(filepath.Join(dir, "journal"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Println("journal:", err)
		return
	}
	defer f.Close()
	fmt.Fprintf(f, "%d %s %s\n", time.Now().UnixMilli(), who, event)
}
