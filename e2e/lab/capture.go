package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/lab/agent"
	"github.com/truepacs/balancer/e2e/lab/pcap"
)

// Capture records the frames on a port: what the host sends and what reaches it.
type Capture struct {
	path    string
	tcpdump *agent.Process
	stderr  *printed.Text
	stopped sync.Once
	err     error
}

// ErrLostFrames means that the capture missed frames: what it does not show may
// have happened all the same.
var ErrLostFrames = errors.New("the capture lost frames: repeat with a narrower filter")

// Capture starts to record frames that match the filter (pcap-filter(7), empty for
// all) on the wire side of an interface. It returns when recording has begun.
func (h *host) Capture(ctx context.Context, nic, filter string) (*Capture, error) {
	p, err := h.port(nic)
	if err != nil {
		return nil, err
	}
	path, err := h.lab.captureFile(h.name, nic)
	if err != nil {
		return nil, err
	}
	c := &Capture{path: path, stderr: &printed.Text{}}
	argv := []string{"tcpdump", "-i", p.link, "-n", "-s", "0", "-U", "--immediate-mode", "-B", "16384", "-Z", "root", "-w", path}
	if filter != "" {
		argv = append(argv, filter)
	}
	// The capture outlives ctx, which bounds its start only.
	c.tcpdump, err = h.lab.world.Start(h.lab.ctx, agent.Spec{Argv: argv, Stderr: c.stderr})
	if err != nil {
		return nil, fmt.Errorf("lab: capture at %s: %w", h.name, err)
	}
	if err := c.await(ctx, "listening on"); err != nil {
		_ = c.tcpdump.Kill()
		return nil, fmt.Errorf("lab: capture at %s: %w", h.name, err)
	}
	return c, nil
}

func (l *Lab) captureFile(host, nic string) (string, error) {
	file, err := os.CreateTemp(l.dir, host+"."+nic+".*.pcap")
	if err != nil {
		return "", fmt.Errorf("lab: capture: %w", err)
	}
	return file.Name(), file.Close()
}

// await returns when tcpdump has said the text.
func (c *Capture) await(ctx context.Context, text string) error {
	for !strings.Contains(c.stderr.String(), text) {
		select {
		case <-c.tcpdump.Done():
			return fmt.Errorf("tcpdump ended: %s", c.stderr.String())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(2 * time.Millisecond):
		}
	}
	return nil
}

// Stop ends the recording once every frame that the kernel had matched is written,
// and returns the path of the pcap file. It may be called again.
func (c *Capture) Stop() (string, error) {
	c.stopped.Do(func() { c.err = c.stop() })
	return c.path, c.err
}

func (c *Capture) stop() error {
	settled := c.settle()
	if err := c.tcpdump.Signal(syscall.SIGINT); err != nil {
		return fmt.Errorf("lab: stop capture: %w", err)
	}
	exit, err := c.tcpdump.Wait()
	if err != nil {
		return fmt.Errorf("lab: stop capture: %w", err)
	}
	if exit.Code != 0 {
		return fmt.Errorf("lab: tcpdump failed: %s", c.stderr.String())
	}
	return settled
}

var statistics = regexp.MustCompile(`(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped`)

// settle asks tcpdump for its counters until it has written all it was given. What came in the moment
// between opening the socket and setting the filter is counted and never written: counters that stand
// still for a second are the end too.
func (c *Capture) settle() error {
	last, still := "", 0
	for range 1000 {
		before := len(statistics.FindAllString(c.stderr.String(), -1))
		if err := c.tcpdump.Signal(syscall.SIGUSR1); err != nil {
			return err
		}
		counters := c.nextStatistics(before)
		if counters == nil {
			return fmt.Errorf("lab: tcpdump does not tell its counters: %s", c.stderr.String())
		}
		if counters[3] != "0" {
			return fmt.Errorf("lab: %w: %s", ErrLostFrames, counters[0])
		}
		if counters[0] != last {
			last, still = counters[0], 0
		}
		if still++; counters[1] == counters[2] || still > 100 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return fmt.Errorf("lab: %w: tcpdump is behind", ErrLostFrames)
}

func (c *Capture) nextStatistics(before int) []string {
	for range 1000 {
		if all := statistics.FindAllStringSubmatch(c.stderr.String(), -1); len(all) > before {
			return all[len(all)-1]
		}
		select {
		case <-c.tcpdump.Done():
			return nil
		case <-time.After(5 * time.Millisecond):
		}
	}
	return nil
}

// Frames ends the recording and returns what was recorded.
func (c *Capture) Frames() ([]pcap.Frame, error) {
	path, err := c.Stop()
	if err != nil {
		return nil, err
	}
	file, err := os.Open(filepath.Clean(path))
	if err != nil {
		return nil, fmt.Errorf("lab: %w", err)
	}
	defer file.Close()
	return pcap.Read(file)
}
