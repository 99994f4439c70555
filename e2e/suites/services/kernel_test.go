package services

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/suite"
)

// entry of a service as ipvsadm saves it: -a -f 1409286145 -r 192.0.2.11:0 -g -w 100.
type kernelEntry struct {
	server, way string
	weight      int
}

// table is what ipvsadm has, by firewall mark.
func (w *world) table(ctx context.Context) (map[string][]kernelEntry, error) {
	out, err := w.saved.get(func() (string, error) { return w.MustRun(ctx, w.Director, "ipvsadm", "-S", "-n") })
	if err != nil {
		return nil, err
	}
	all := map[string][]kernelEntry{}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 8 || f[0] != "-a" || f[1] != "-f" {
			continue
		}
		weight, err := strconv.Atoi(f[7])
		if err != nil {
			return nil, fmt.Errorf("ipvsadm says %q: %w", line, err)
		}
		address, _, _ := strings.Cut(f[4], ":")
		all[f[2]] = append(all[f[2]], kernelEntry{serverAt(address), f[5], weight})
	}
	return all, nil
}

// serverAt is the name of the server with an address.
func serverAt(address string) string {
	for name, at := range addresses {
		if at == address {
			return name
		}
	}
	return address
}

// shared is what one look shows to all stories that look at about the same time: each looks again until
// it sees what it waits for, and the director is emulated.
type shared[T any] struct {
	mu   sync.Mutex
	at   time.Time
	last T
}

// fresh is how old a look may be.
const fresh = 200 * time.Millisecond

func (s *shared[T]) get(look func() (T, error)) (T, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Since(s.at) < fresh {
		return s.last, nil
	}
	began := time.Now()
	seen, err := look()
	if err == nil {
		s.last, s.at = seen, began
	}
	return seen, err
}

// udp is added to the number of a port of UDP.
const udp = 1 << 16

// mapped is a port of the virtual IP with its firewall mark, as nft lists it.
var mapped = regexp.MustCompile(regexp.QuoteMeta(vip) + ` \. (6|17) \. (\d+)(?:-\d+)? (?:counter packets \d+ bytes \d+ )?: (0x[0-9a-f]+)`)

// readMarks reads the mark of each service from nft; they stay.
func (w *world) readMarks(t *testing.T) {
	t.Helper()
	out, err := w.MustRun(t.Context(), w.Director, "nft", "-nn", "list", "table", "inet", "truepacs")
	suite.Must(t, err)
	w.marks = map[int]string{}
	for _, found := range mapped.FindAllStringSubmatch(out, -1) {
		port, err := strconv.Atoi(found[2])
		suite.Must(t, err)
		mark, err := strconv.ParseUint(found[3], 0, 32)
		suite.Must(t, err)
		if found[1] == "17" {
			port += udp
		}
		w.marks[port] = strconv.FormatUint(mark, 10)
	}
	if len(w.marks) < 13 {
		t.Fatalf("nft lists %d ports with marks:\n%s", len(w.marks), out)
	}
}

// counted are the connections that a server has in a service, active or not.
func (w *world) counted(ctx context.Context, port int, server string) (int, error) {
	out, err := w.MustRun(ctx, w.Director, "ipvsadm", "-Ln", "-f", w.marks[port])
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(out) {
		f := strings.Fields(line) // -> 192.0.2.11:0 Route 100 4 0
		if len(f) == 6 && strings.HasPrefix(f[1], addresses[server]+":") {
			active, err1 := strconv.Atoi(f[4])
			inactive, err2 := strconv.Atoi(f[5])
			if err1 == nil && err2 == nil {
				return active + inactive, nil
			}
		}
	}
	return 0, fmt.Errorf("ipvsadm does not count %s in port %d:\n%s", server, port, out)
}
