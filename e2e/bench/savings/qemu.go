package savings

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// emulator is the host's side of a machine: the process that emulates it, the threads that are its
// processors and the taps that are the other ends of its cables.
type emulator struct {
	proc    string // /proc/PID
	threads []int
	taps    []string
}

var tapOfNIC = regexp.MustCompile(`^tap,id=nic\d+,ifname=([^,]+)`)

// findEmulator finds the process of a machine by the folder of its lab.
func findEmulator(dir, machine string) (*emulator, error) {
	found, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	for _, proc := range found {
		arguments, err := os.ReadFile(filepath.Join(proc, "cmdline"))
		cwd, fault := os.Readlink(filepath.Join(proc, "cwd"))
		if err != nil || fault != nil || cwd != dir {
			continue
		}
		argv := strings.Split(string(arguments), "\x00")
		if !strings.HasPrefix(filepath.Base(argv[0]), "qemu-system") || !slices.Contains(argv, machine) {
			continue
		}
		e := &emulator{proc: proc}
		for _, argument := range argv {
			if match := tapOfNIC.FindStringSubmatch(argument); match != nil {
				e.taps = append(e.taps, match[1])
			}
		}
		e.threads, err = processorThreads(filepath.Join(dir, machine+".qmp"), proc)
		return e, err
	}
	return nil, fmt.Errorf("machine %s: no QEMU process works in %s", machine, dir)
}

// processorThreads asks QEMU for the threads of the machine's processors (query-cpus-fast of
// qemu-qmp-ref) and finds them on the host: QEMU knows them by the numbers of its own namespace.
func processorThreads(socket, proc string) ([]int, error) {
	conn, err := net.DialTimeout("unix", socket, 10*time.Second)
	if err != nil {
		return nil, fmt.Errorf("QEMU's control socket: %w", err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte(`{"execute":"qmp_capabilities"}{"execute":"query-cpus-fast"}`)); err != nil {
		return nil, err
	}
	for decoder := json.NewDecoder(conn); ; {
		var reply struct{ Return json.RawMessage }
		if err := decoder.Decode(&reply); err != nil {
			return nil, fmt.Errorf("QEMU's control socket: %w", err)
		}
		var processors []struct {
			Thread int `json:"thread-id"`
		}
		if json.Unmarshal(reply.Return, &processors) == nil && len(processors) > 0 {
			return onHost(proc, len(processors), func(inside int) bool {
				for _, p := range processors {
					if p.Thread == inside {
						return true
					}
				}
				return false
			})
		}
	}
}

var namespacePIDs = regexp.MustCompile(`(?m)^NSpid:.*\s(\d+)$`)

// onHost returns the threads of a process whose number in their innermost namespace is wanted.
func onHost(proc string, count int, wanted func(inside int) bool) ([]int, error) {
	tasks, err := os.ReadDir(filepath.Join(proc, "task"))
	if err != nil {
		return nil, err
	}
	var threads []int
	for _, task := range tasks {
		status, err := os.ReadFile(filepath.Join(proc, "task", task.Name(), "status"))
		match := namespacePIDs.FindSubmatch(status)
		if err != nil || match == nil {
			continue
		}
		inside, _ := strconv.Atoi(string(match[1]))
		if thread, err := strconv.Atoi(task.Name()); err == nil && wanted(inside) {
			threads = append(threads, thread)
		}
	}
	if len(threads) != count {
		return nil, fmt.Errorf("%d of QEMU's %d processor threads found", len(threads), count)
	}
	return threads, nil
}

// cpu is the processor time of the machine's processors.
func (e *emulator) cpu() (sum time.Duration, err error) {
	for _, thread := range e.threads {
		text, fault := os.ReadFile(filepath.Join(e.proc, "task", strconv.Itoa(thread), "schedstat"))
		spent, wrong := readThread(text)
		sum, err = sum+spent, errors.Join(err, fault, wrong)
	}
	return sum, err
}

// wire is what the taps have carried.
func (e *emulator) wire() (Wire, error) {
	text, err := os.ReadFile(filepath.Join(e.proc, "net", "dev"))
	if err != nil {
		return Wire{}, err
	}
	return readWire(text, e.taps...)
}
