package host

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/internal/wiring"
)

const (
	// poll is how often the proxy is looked after.
	poll = 100 * time.Millisecond
	// adoptAfter is how long a proxy that an earlier run left may take to find us.
	adoptAfter = 10 * time.Second
	// restartAfter is how long a proxy that ended stays down at least.
	restartAfter = time.Second
)

// child keeps a proxy process running. The proxy is no part of this process: it goes on, with
// its connections, when this one is killed, and is found again by the next.
type child struct {
	log     logr.Logger
	argv    []string
	version string
	// lives tells whether a proxy lives that may accept connections.
	lives func() (bool, error)
	// connected returns the version of the proxy that is connected; empty: none.
	connected func() string
	// needed tells whether there is work for a proxy.
	needed func() bool
}

// run starts a proxy whenever there is work and none of our version is there, until ctx ends. It
// leaves the proxy running.
func (c *child) run(ctx context.Context) {
	missed := time.Now() // since when no proxy of our version is connected
	for wait := poll; ; {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = poll
		if !c.needed() || c.connected() == c.version {
			missed = time.Now()
			continue
		}
		lives, err := c.lives()
		if lives && c.connected() == "" && time.Since(missed) < adoptAfter {
			continue // it will find us
		}
		if err == nil {
			err = c.start(ctx)
		}
		if err != nil {
			c.log.Error(err, "the proxy ended, it is started again")
		}
		wait, missed = restartAfter, time.Now()
	}
}

// start runs one proxy until it ends or ctx does.
func (c *child) start(ctx context.Context) error {
	cmd := exec.Command(c.argv[0], c.argv[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true, // no signal from our terminal
		Credential: &syscall.Credential{Uid: wiring.ProxyGroup, Gid: wiring.ProxyGroup, Groups: []uint32{}},
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the proxy: %w", err)
	}
	c.log.Info("proxy started", "pid", cmd.Process.Pid)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-ctx.Done():
		return nil
	case err := <-ended:
		return fmt.Errorf("process %d: %w", cmd.Process.Pid, orEnded(err))
	}
}

func orEnded(err error) error {
	if err == nil {
		return fmt.Errorf("it ended by itself")
	}
	return err
}
