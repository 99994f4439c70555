package peers

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is what all processes of a program have taken from the host, as /proc says.
type Usage struct {
	// User and System are processor time, that of children which have ended included (proc(5), utime, stime,
	// cutime and cstime of stat). The kernel counts in hundredths of a second for each process.
	User, System time.Duration
	// Resident is memory in use now, Peak the sum of the highest of each process, in bytes (VmRSS and VmHWM of status).
	Resident, Peak int64
	// Descriptors are open.
	Descriptors int
	// Processes are sorted.
	Processes []int
}

// Processor is the whole processor time.
func (u Usage) Processor() time.Duration { return u.User + u.System }

// Usage reads what the program has used. It fails when no process is left.
func (p *Process) Usage() (Usage, error) {
	all, err := p.processes()
	if err != nil {
		return Usage{}, err
	}
	u := Usage{Processes: all}
	for _, pid := range all {
		if err := u.add(pid); err != nil {
			return Usage{}, err
		}
	}
	return u, nil
}

// processes are those of the namespace but for its first.
func (p *Process) processes() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == p.first.Process.Pid {
			continue
		}
		if namespace, err := namespaceOf(pid); err == nil && namespace == p.namespace {
			all = append(all, pid)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no process of %s is left", p.program.Args[len(p.program.Args)-1])
	}
	slices.Sort(all)
	return all, nil
}

// add adds a process; one that ended meanwhile adds nothing, its parent has its time.
func (u *Usage) add(pid int) error {
	dir := fmt.Sprintf("/proc/%d/", pid)
	stat, errStat := os.ReadFile(dir + "stat")
	status, errStatus := os.ReadFile(dir + "status")
	fds, errFDs := os.ReadDir(dir + "fd")
	if err := errors.Join(errStat, errStatus, errFDs); err != nil {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			return nil
		}
		return err
	}
	user, system, err := readTimes(string(stat))
	if err != nil {
		return fmt.Errorf("%sstat: %w", dir, err)
	}
	u.User, u.System = u.User+user, u.System+system
	u.Resident += readKiB(string(status), "VmRSS:") << 10
	u.Peak += readKiB(string(status), "VmHWM:") << 10
	u.Descriptors += len(fds)
	return nil
}

// readTimes reads processor time from the line of /proc/PID/stat.
func readTimes(stat string) (user, system time.Duration, err error) {
	const tick = time.Second / 100 // USER_HZ
	fields := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:])
	const utime = 11 // field 14 of proc(5), the name and what stands before it cut off
	if len(fields) < utime+4 {
		return 0, 0, fmt.Errorf("%d fields after the name", len(fields))
	}
	var ticks [4]int64 // utime, stime, cutime, cstime
	for i := range ticks {
		if ticks[i], err = strconv.ParseInt(fields[utime+i], 10, 64); err != nil {
			return 0, 0, err
		}
	}
	return time.Duration(ticks[0]+ticks[2]) * tick, time.Duration(ticks[1]+ticks[3]) * tick, nil
}

// readKiB reads a field of /proc/PID/status; a process without memory has 0.
func readKiB(status, field string) int64 {
	_, after, _ := strings.Cut(status, "\n"+field)
	line, _, _ := strings.Cut(after, "\n")
	n, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(line, "kB")), 10, 64)
	return n
}
