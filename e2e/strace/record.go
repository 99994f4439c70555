package strace

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

// A sample must have that many netlink messages, and of those to IPVS: an agent that has read a
// service and its servers has come to where it would change them.
const (
	enough     = 10
	enoughIPVS = 2
)

// Record is what a trace tells about processes of the product.
type Record struct {
	// Programs is how many times a program was started, Threads how many threads did something.
	Programs, Threads int
	// Calls is how many calls were traced, Messages how many of them sent netlink messages.
	Calls, Messages int
	// IPVS is how many messages went to IPVS.
	IPVS int
	// Changes are the lines in which the kernel's network was changed.
	Changes []string
}

func (r Record) String() string {
	return fmt.Sprintf("%d programs started, %d threads, %d calls, %d netlink messages (%d to IPVS), %d changes",
		r.Programs, r.Threads, r.Calls, r.Messages, r.IPVS, len(r.Changes))
}

// Enough returns an error if the trace is too small to show anything.
func (r Record) Enough() error {
	if r.Messages < enough || r.IPVS < enoughIPVS {
		return fmt.Errorf("the trace has %d netlink messages, %d to IPVS: the sample is empty", r.Messages, r.IPVS)
	}
	return nil
}

// began finds the number of the thread and the name of a call.
var began = regexp.MustCompile(`^(\d+) +([a-z0-9_]+)\(`)

// All reads a trace of processes that are the product's from its first line on.
func All(trace []byte) Record {
	var r Record
	threads := map[string]bool{}
	for text := range bytes.Lines(trace) {
		line := strings.TrimSuffix(string(text), "\n")
		pid, _, _ := strings.Cut(line, " ")
		threads[pid] = true
		if began.MatchString(line) {
			r.Calls++
		}
		if started.MatchString(line) {
			r.Programs++
		}
		if strings.Contains(line, "nlmsg_type=") {
			r.Messages++
		}
		r.IPVS += len(ipvsCommands(line))
		if change(line) {
			r.Changes = append(r.Changes, line)
		}
	}
	r.Threads = len(threads)
	return r
}

// started finds the successful end of execve(2), which may come after lines of other threads.
var started = regexp.MustCompile(`^\d+ +(execve\(|<\.\.\. execve resumed>).*\) += 0$`)

// Since reads what a process, its threads and its children did from the moment when it became a
// program. What it was before, such as a container runtime, is not part of the record: its other
// threads end at that moment (execve(2)).
func Since(trace []byte, program string) Record {
	begun := false
	for rest := trace; len(rest) > 0; {
		line, after, _ := bytes.Cut(rest, []byte("\n"))
		if bytes.Contains(line, []byte(` execve("`)) {
			begun = bytes.Contains(line, []byte(` execve("`+program+`", `))
		}
		if begun && started.Match(line) {
			return All(rest)
		}
		rest = after
	}
	return Record{}
}
