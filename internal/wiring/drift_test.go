package wiring

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/translate"
)

// patience is how long a test waits for what must come; no test passes by waiting.
const patience = 60 * time.Second

// inside says that this process is in a network namespace of its own.
const inside = "TRUEPACS_TEST_INSIDE"

// alone runs the calling test again in a process with a network namespace of its own, which the
// agent with all its goroutines is in, and says whether this is that process.
func alone(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("in a network namespace of its own (run this test as root): %v\n%s", err, out)
	}
	return false
}

func run(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("did not happen: %s", what)
}

// counted counts passes.
type counted struct {
	agent.AddressHolder
	passes atomic.Int64
}

func (c *counted) Set(ctx context.Context, all []model.VirtualIP) error {
	c.passes.Add(1)
	return c.AddressHolder.Set(ctx, all)
}

// director is an agent with real drivers that holds two addresses on dr0, whose other end is far0.
type director struct {
	*counted
	port announce.Port // on far0, receives ARP
}

// newDirector starts an agent that never looks at the host without being woken.
func newDirector(t *testing.T) *director {
	t.Helper()
	run(t, "ip", "link", "set", "lo", "up")
	run(t, "ip", "link", "add", "dr0", "type", "veth", "peer", "name", "far0")
	run(t, "ip", "link", "set", "far0", "up")
	run(t, "ip", "link", "set", "dr0", "up")
	port, err := announce.Sockets{}.Open("far0", announce.ARP, &announce.Listen{})
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Log: logr.Discard(), RunDir: t.TempDir(), StateDir: t.TempDir(), SysctlDir: "/proc/sys/net",
		Marks: translate.DefaultMarks(), Resync: time.Hour,
	}
	h := &Host{log: o.Log, runDir: o.RunDir}
	config, err := h.config(o)
	if err != nil {
		t.Fatal(err)
	}
	d := &director{counted: &counted{AddressHolder: config.Drivers.Addresses}, port: port}
	config.Drivers.Addresses = d.counted
	h.Agent = agent.New(config)
	node := model.Node{VirtualIPs: []model.VirtualIP{
		{Key: "ns/b/four", Address: netip.MustParseAddr("192.0.2.100"), Interface: "dr0"},
		{Key: "ns/b/six", Address: netip.MustParseAddr("2001:db8::100"), Interface: "dr0"},
	}}
	if _, err := h.Agent.SetDesired(node, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = port.Close()
	})
	eventually(t, "all is there", func() bool { return d.holds(t) && d.guards(t) })
	return d
}

func (d *director) holds(t *testing.T) bool {
	out := run(t, "ip", "-o", "address", "show", "dev", "dr0")
	return strings.Contains(out, "192.0.2.100/32") && strings.Contains(out, "2001:db8::100/128")
}

func (d *director) guards(t *testing.T) bool {
	return strings.Contains(run(t, "nft", "list", "ruleset"), "192.0.2.100")
}

// settled waits until no pass came for a while and returns how many there were.
func (d *director) settled() int64 {
	for {
		n := d.passes.Load()
		time.Sleep(2 * time.Second)
		if d.passes.Load() == n {
			return n
		}
	}
}

// TestDriftIsUndoneAtOnce: nothing but what the kernel tells can wake this agent.
func TestDriftIsUndoneAtOnce(t *testing.T) {
	if !alone(t) {
		return
	}
	d := newDirector(t)
	for _, drift := range []struct {
		argv []string
		back func(*testing.T) bool
	}{
		{[]string{"ip", "address", "del", "192.0.2.100/32", "dev", "dr0"}, d.holds},
		{[]string{"ip", "address", "del", "2001:db8::100/128", "dev", "dr0"}, d.holds},
		{[]string{"nft", "flush", "ruleset"}, d.guards},
		{[]string{"nft", "delete", "table", "inet", "truepacs"}, d.guards},
		{[]string{"nft", "flush", "set", "inet", "truepacs", "guarded4"}, d.guards},
	} {
		began := time.Now()
		run(t, drift.argv...)
		eventually(t, fmt.Sprintf("what was done is undone: %v", drift.argv), func() bool { return drift.back(t) })
		t.Logf("%v: back after %s", drift.argv, time.Since(began).Round(time.Millisecond))
	}
}

// TestAddressThatIsBackIsAnnouncedInABurst listens on the other end after the burst of the start.
func TestAddressThatIsBackIsAnnouncedInABurst(t *testing.T) {
	if !alone(t) {
		return
	}
	d := newDirector(t)
	if n := d.announcements(t, 8*time.Second); n < 4 {
		t.Fatalf("%d announcements at the start, the sample is empty", n)
	}
	run(t, "ip", "address", "del", "192.0.2.100/32", "dev", "dr0")
	// The regular announcement, a minute after the last one, is a pair of packets.
	n := 0
	eventually(t, "a burst", func() bool { n += d.announcements(t, time.Second); return n > 4 })
}

// announcements counts those of the address that arrive within a time.
func (d *director) announcements(t *testing.T, within time.Duration) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	buffer, n := make([]byte, 2000), 0
	for {
		got, _, err := d.port.Receive(ctx, buffer)
		if err != nil {
			return n
		}
		sender := netip.AddrFrom4([4]byte(buffer[14:18])) // RFC 826: sender's protocol address
		if got >= 28 && sender.String() == "192.0.2.100" {
			n++
		}
	}
}

// TestIdleAgentDoesNotWakeItself: what a pass writes makes one more pass at most, and an agent that
// nobody touches makes none. An address that is gone is asked for before it is taken again.
func TestIdleAgentDoesNotWakeItself(t *testing.T) {
	if !alone(t) {
		return
	}
	d := newDirector(t)
	t.Logf("%d passes until all was there and the interfaces were as they stay", d.settled())
	for _, drift := range []struct {
		argv []string
		most int64 // one notices and asks, one is told the answer; one undoes it, one sees that
	}{{[]string{"ip", "address", "del", "192.0.2.100/32", "dev", "dr0"}, 4}, {[]string{"nft", "flush", "ruleset"}, 2}} {
		before := d.passes.Load()
		run(t, drift.argv...)
		eventually(t, "the pass that undoes it", func() bool { return d.passes.Load() > before && d.holds(t) && d.guards(t) })
		if n := d.settled() - before; n > drift.most {
			t.Errorf("%v: %d passes, want %d at most", drift.argv, n, drift.most)
		}
	}
	run(t, "nft", "table inet others { set s { type ipv4_addr; }; }")
	before := d.settled()
	for n := range 20 {
		run(t, "nft", "add", "element", "inet", "others", "s", fmt.Sprintf("{ 192.0.2.%d }", n+1))
	}
	if n := d.settled() - before; n != 0 {
		t.Errorf("%d passes for another program's table", n)
	}
}
