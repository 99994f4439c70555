package savings

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Wire is what interfaces have carried in both directions, with the link layer's headers.
type Wire struct {
	Bytes, Packets float64
}

// Minus is what came since earlier.
func (w Wire) Minus(earlier Wire) Wire {
	return Wire{w.Bytes - earlier.Bytes, w.Packets - earlier.Packets}
}

// readWire adds up interfaces of a text of /proc/net/dev (net/core/net-procfs.c: after the name
// come bytes and packets received in columns 1 and 2, sent in 9 and 10).
func readWire(text []byte, interfaces ...string) (sum Wire, err error) {
	found := 0
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), ":")
		if !slices.Contains(interfaces, strings.TrimSpace(name)) {
			continue
		}
		columns, err := numbers(strings.Fields(rest))
		if err != nil || len(columns) < 10 {
			return sum, fmt.Errorf("/proc/net/dev: %q: %w", lines.Text(), err)
		}
		sum.Bytes += columns[0] + columns[8]
		sum.Packets += columns[1] + columns[9]
		found++
	}
	if found != len(interfaces) {
		return sum, fmt.Errorf("/proc/net/dev shows %d of the interfaces %v", found, interfaces)
	}
	return sum, nil
}

func numbers(texts []string) ([]float64, error) {
	all := make([]float64, 0, len(texts))
	for _, text := range texts {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, err
		}
		all = append(all, float64(n))
	}
	return all, nil
}

// tick is the unit of /proc/stat and /proc/PID/stat for programs, USER_HZ of x86.
const tick = 10 * time.Millisecond

// readBusy returns how long the processors of a text of /proc/stat were not idle: user, nice,
// system, irq, softirq and steal (proc(5)).
func readBusy(text []byte) (time.Duration, error) {
	line, _, _ := strings.Cut(string(text), "\n")
	fields := strings.Fields(line)
	if len(fields) < 9 || fields[0] != "cpu" {
		return 0, fmt.Errorf("/proc/stat begins with %q", line)
	}
	n, err := numbers(fields[1:9])
	if err != nil {
		return 0, fmt.Errorf("/proc/stat: %w", err)
	}
	const idle, iowait = 3, 4
	var busy float64
	for i, ticks := range n {
		if i != idle && i != iowait {
			busy += ticks
		}
	}
	return time.Duration(busy) * tick, nil
}

// readThread returns the processor time of a thread: the first number of /proc/PID/task/TID/schedstat,
// in nanoseconds (Documentation/scheduler/sched-stats.rst of the kernel).
func readThread(text []byte) (time.Duration, error) {
	fields := strings.Fields(string(text))
	if len(fields) != 3 {
		return 0, fmt.Errorf("schedstat: %q has not three numbers", text)
	}
	n, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("schedstat: %w", err)
	}
	return time.Duration(n), nil
}
