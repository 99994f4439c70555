package process

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// EnterNetns moves the calling thread into the network namespace at path (such as /run/netns/name); an empty
// path does nothing. The caller must have locked its goroutine to the thread and must not unlock it afterwards.
func EnterNetns(path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open the network namespace: %w", err)
	}
	defer f.Close()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the network namespace %s: %w", path, err)
	}
	return nil
}

// InNetns runs fn on a thread of its own inside the network namespace at path, or in place when path is empty.
// Sockets that fn opens belong to that namespace for good and may be used from anywhere.
func InNetns(path string, fn func() error) error {
	if path == "" {
		return fn()
	}
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if err := EnterNetns(path); err != nil {
			result <- err
			return
		}
		result <- fn()
	}()
	return <-result
}

// Dialer returns a dial function for rest.Config and http.Transport that connects from inside the network
// namespace at path. Addresses must be literal: names would be resolved outside.
func Dialer(path string) func(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	return func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = InNetns(path, func() error {
			conn, err = d.DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}
}

// Run runs a command to its end inside the network namespace at path, with stdin as its input, and returns
// its standard output. Its error holds what it wrote to standard error.
func Run(ctx context.Context, path string, stdin io.Reader, program string, args ...string) (string, error) {
	var stdout, stderr strings.Builder
	err := InNetns(path, func() error {
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
		return cmd.Run()
	})
	if err != nil {
		err = fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	return stdout.String(), err
}
