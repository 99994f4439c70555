package drain

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/truepacs/balancer/dataplane/model"
	"pgregory.net/rapid"
)

var (
	start   = time.Unix(1000, 0).UTC()
	virtual = netip.MustParseAddrPort("192.0.2.100:104")
	a, b    = netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.12")
	plain   = cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{})
)

// dicom has the servers a, active, and b in the given state.
func dicom(state model.ServerState, timeout time.Duration) []model.VirtualService {
	return []model.VirtualService{{
		Key: "s", DrainTimeout: timeout, Addresses: []netip.Addr{virtual.Addr()},
		Servers: []model.RealServer{{Name: "a", Address: a, Weight: 1}, {Name: "b", Address: b, State: state}},
	}}
}

func connection(n int, server netip.Addr, change ...func(*Connection)) *Connection {
	c := &Connection{
		Service: "s", Protocol: model.TCP, State: "ESTABLISHED", Virtual: virtual, Server: netip.AddrPortFrom(server, 104),
		Client: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.51"), uint16(n)),
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func in(state string, quiet time.Duration) func(*Connection) {
	return func(c *Connection) { c.State, c.Quiet = state, quiet }
}
func udp(c *Connection)     { c.Protocol, c.State = model.UDP, "UDP" }
func another(c *Connection) { c.Service = "t" }

// drive plays a history: at each point in time the table holds some connections.
type drive struct {
	memory Memory
	reads  int
}

func (d *drive) at(t *testing.T, services []model.VirtualService, after time.Duration, table ...*Connection) Result {
	t.Helper()
	now := start.Add(after)
	tally := d.memory.Tally(services, now)
	if tally != nil {
		d.reads++
		for _, c := range table {
			tally.Add(c)
		}
	}
	r := Decide(services, tally, d.memory, now)
	d.memory = r.Memory
	return r
}

// says is a Result in short: phase and connections of b, its state in the kernel, resets.
func says(r Result) string {
	s := r.Statuses[Key{"s", "b"}]
	state := "gone"
	for _, server := range r.Services[0].Servers {
		if server.Name == "b" && server.State != model.Maintenance {
			state = "kept"
		}
	}
	return fmt.Sprintf("%s %d %s, %d resets", s.Phase, s.Connections, state, len(r.Resets))
}

func expect(t *testing.T, r Result, want string) {
	t.Helper()
	if got := says(r); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestDrainedWhenTheLastCloses(t *testing.T) {
	var d drive
	s := dicom(model.Drain, 0)
	expect(t, d.at(t, s, 0, connection(1, b), connection(2, b), connection(3, a), connection(4, b, another)), "Draining 2 kept, 0 resets")
	expect(t, d.at(t, s, 6*time.Second, connection(1, b), connection(2, b, in("FIN_WAIT", 6*time.Second))), "Draining 1 kept, 0 resets")
	expect(t, d.at(t, s, 100*time.Hour, connection(1, b)), "Draining 1 kept, 0 resets")
	expect(t, d.at(t, s, 100*time.Hour+time.Second), "Draining 1 kept, 0 resets") // a single reading may miss it
	r := d.at(t, s, 100*time.Hour+2*time.Second)
	expect(t, r, "Drained 0 kept, 0 resets")
	if want := start.Add(100*time.Hour + 32*time.Second); r.Next != want || r.Act {
		t.Errorf("next at %v, want %v; act %t", r.Next, want, r.Act)
	}
	r = d.at(t, dicom(model.Active, 0), 101*time.Hour)
	if len(r.Statuses) != 0 || r.Memory.Starts() != nil || !r.Next.IsZero() {
		t.Errorf("an active server is followed: %+v", r)
	}
	expect(t, d.at(t, s, 200*time.Hour, connection(9, b)), "Draining 1 kept, 0 resets")
}

func TestDeadline(t *testing.T) {
	var d drive
	s := dicom(model.Drain, 20*time.Second)
	r := d.at(t, s, 0, connection(1, b))
	if r.Statuses[Key{"s", "b"}].Deadline != start.Add(20*time.Second) {
		t.Errorf("status %+v", r.Statuses)
	}
	expect(t, d.at(t, s, 19*time.Second, connection(1, b)), "Draining 1 kept, 0 resets")
	r = d.at(t, s, 19500*time.Millisecond, connection(1, b))
	if want := start.Add(20 * time.Second); r.Next != want {
		t.Errorf("next at %v, want %v", r.Next, want)
	}
	r = d.at(t, s, 20*time.Second, connection(1, b), connection(2, b, udp), connection(3, a), connection(4, b, in("FIN_WAIT", time.Minute)))
	expect(t, r, "Resetting 2 kept, 1 resets")
	want := []Flow{{Client: connection(1, b).Client, Virtual: virtual}}
	if diff := cmp.Diff(want, r.Resets, plain); diff != "" || !r.Act {
		t.Errorf("resets, act %t %s", r.Act, diff)
	}
	// The server has been told, the client not yet.
	for _, after := range []time.Duration{22, 23} {
		if r := d.at(t, s, after*time.Second, connection(1, b, in("CLOSE", 0)), connection(2, b, udp)); len(r.Resets) != 1 {
			t.Errorf("after %d s: %s", after, says(r))
		}
	}
	r = d.at(t, s, 24*time.Second, connection(2, b, udp))
	expect(t, r, "Drained 0 gone, 0 resets")
	if !r.Act || !r.Next.IsZero() {
		t.Errorf("act %t, next %v", r.Act, r.Next)
	}
	reads := d.reads
	expect(t, d.at(t, s, time.Hour), "Drained 0 gone, 0 resets")
	if d.reads != reads {
		t.Error("the table is read although nothing is left")
	}
}

func TestSilentClientsDoNotHoldTheServer(t *testing.T) {
	var d drive
	s := dicom(model.Drain, 5*time.Second)
	d.at(t, s, 0, connection(1, b))
	for after := 5 * time.Second; after < 5*time.Second+grace; after += time.Second {
		if r := d.at(t, s, after, connection(1, b)); r.Statuses[Key{"s", "b"}].Phase != Resetting {
			t.Fatalf("after %v: %s", after, says(r))
		}
	}
	expect(t, d.at(t, s, 5*time.Second+grace, connection(1, b)), "Drained 0 gone, 0 resets")
}

func TestMaintenance(t *testing.T) {
	t.Run("without connections the server goes at once", func(t *testing.T) {
		var d drive
		expect(t, d.at(t, dicom(model.Maintenance, time.Hour), 0), "Drained 0 gone, 0 resets")
	})
	t.Run("connections are reset at once", func(t *testing.T) {
		var d drive
		s := dicom(model.Maintenance, time.Hour)
		expect(t, d.at(t, s, 0, connection(1, b)), "Resetting 1 kept, 1 resets")
		for after := range time.Duration(3) {
			d.at(t, s, (after+1)*time.Second)
		}
		expect(t, d.at(t, s, 4*time.Second), "Drained 0 gone, 0 resets")
	})
	t.Run("after a drain", func(t *testing.T) {
		var d drive
		d.at(t, dicom(model.Drain, 0), 0, connection(1, b))
		expect(t, d.at(t, dicom(model.Maintenance, 0), time.Minute, connection(1, b)), "Resetting 1 kept, 1 resets")
	})
	t.Run("while the table cannot be read", func(t *testing.T) {
		r := Decide(dicom(model.Maintenance, 0), nil, Memory{}, start)
		expect(t, r, "Drained 0 gone, 0 resets")
	})
}

func TestUnreadableTableIsSaid(t *testing.T) {
	r := Decide(dicom(model.Drain, 0), nil, Memory{}, start)
	if s := r.Statuses[Key{"s", "b"}]; s.Counted || s.Phase != Draining || r.Next != start.Add(time.Second) {
		t.Errorf("status %+v, next %v", s, r.Next)
	}
}

// TestRestart: the deadline is that of before, and a process that knows nothing begins anew.
func TestRestart(t *testing.T) {
	var d drive
	s := dicom(model.Drain, 20*time.Second)
	d.at(t, s, 0, connection(1, b))
	text, err := json.Marshal(d.memory.Starts())
	if err != nil {
		t.Fatal(err)
	}
	var starts Starts
	if err := json.Unmarshal(text, &starts); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(d.memory.Starts(), starts); diff != "" {
		t.Error(diff)
	}
	after := drive{memory: Restore(starts)}
	if r := after.at(t, s, 15*time.Second, connection(1, b)); r.Statuses[Key{"s", "b"}].Deadline != start.Add(20*time.Second) || says(r) != "Draining 1 kept, 0 resets" {
		t.Errorf("%s, %+v", says(r), r.Statuses)
	}
	late := drive{memory: Restore(starts)}
	expect(t, late.at(t, s, time.Hour, connection(1, b)), "Drained 0 gone, 0 resets")
}

func TestOpen(t *testing.T) {
	for name, tc := range map[string]struct {
		c    *Connection
		want bool
	}{
		"established":                    {connection(1, b), true},
		"begins":                         {connection(1, b, in("SYN_RECV", 0)), true},
		"closed by the client, replies":  {connection(1, b, in("FIN_WAIT", 2*time.Second)), true},
		"closed by the client and quiet": {connection(1, b, in("FIN_WAIT", 6*time.Second)), false},
		"quiet and not closed":           {connection(1, b, in("ESTABLISHED", time.Hour)), true},
		"closed by the server, NAT":      {connection(1, b, in("CLOSE_WAIT", time.Hour)), true},
		"over":                           {connection(1, b, in("TIME_WAIT", 0)), false},
		"reset":                          {connection(1, b, in("CLOSE", 0)), false},
		"datagrams":                      {connection(1, b, udp), true},
	} {
		if got := tc.c.open(); got != tc.want {
			t.Errorf("%s: open %t", name, got)
		}
	}
}

// TestTableIsReadSeldom: never without need, at most every second, every half a minute when all is
// over.
func TestTableIsReadSeldom(t *testing.T) {
	var d drive
	d.at(t, dicom(model.Active, 0), 0, connection(1, b))
	if d.reads != 0 {
		t.Error("the table is read although nothing leaves")
	}
	s := dicom(model.Drain, 0)
	for after := time.Duration(0); after < 10*time.Second; after += 100 * time.Millisecond {
		d.at(t, s, after, connection(1, b))
	}
	if d.reads != 10 {
		t.Errorf("%d readings in 10 s", d.reads)
	}
	d.at(t, s, 10*time.Second)
	d.at(t, s, 11*time.Second)
	for after := 12 * time.Second; after < 72*time.Second; after += time.Second {
		d.at(t, s, after)
	}
	if d.reads != 14 {
		t.Errorf("%d readings, want 2 more in the minute after", d.reads)
	}
}

// TestTallyIsBounded: what it holds does not grow with the table.
func TestTallyIsBounded(t *testing.T) {
	s := dicom(model.Maintenance, 0)
	tally := Memory{}.Tally(s, start)
	c, other := connection(1, b), connection(1, a)
	if n := testing.AllocsPerRun(1000, func() { tally.Add(other) }); n != 0 {
		t.Errorf("%v allocations for a connection of another server", n)
	}
	for i := range 100_000 {
		c.Client = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 16), byte(i >> 8)}), uint16(i)+1)
		tally.Add(c)
	}
	r := Decide(s, tally, Memory{}, start)
	if got := r.Statuses[Key{"s", "b"}].Connections; got != 100_000 || len(r.Resets) != maxFlows {
		t.Errorf("%d connections, %d resets", got, len(r.Resets))
	}
}

func BenchmarkTally(bench *testing.B) {
	s := dicom(model.Drain, 0)
	ours, other := connection(1, b), connection(1, a)
	bench.ReportAllocs()
	for bench.Loop() {
		tally := Memory{}.Tally(s, start)
		for range 50_000 {
			tally.Add(ours)
			tally.Add(other)
		}
	}
}

// TestInvariants over random histories.
func TestInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Memory
		now := start
		var since time.Time
		state := model.Active
		timeout := time.Duration(rapid.IntRange(0, 40).Draw(t, "timeout")) * time.Second
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 9000).Draw(t, "later")) * time.Millisecond)
			if next := rapid.SampledFrom([]model.ServerState{state, state, state, model.Active, model.Drain, model.Maintenance}).Draw(t, "state"); next != state {
				state, since = next, now
			}
			s := dicom(state, timeout)
			tally := m.Tally(s, now)
			open := rapid.IntRange(0, 2).Draw(t, "open")
			if rapid.IntRange(0, 5).Draw(t, "unreadable") == 0 {
				tally = nil
			}
			for n := range open {
				if tally != nil {
					tally.Add(connection(n+1, b))
				}
			}
			r := Decide(s, tally, m, now)
			holds(t, s, r, state, since, now, timeout)
			if tally != nil && open > 0 && r.Statuses[Key{"s", "b"}].Phase == Drained && r.Services[0].Servers[1].State != model.Maintenance {
				t.Fatalf("drained with %d connections", open)
			}
			if again := Decide(s, tally, m, now); !cmp.Equal(r.Resets, again.Resets, plain) || !cmp.Equal(r.Statuses, again.Statuses) {
				t.Fatal("two calls differ: Decide changed its input")
			}
			m = r.Memory
		}
	})
}

// holds checks one decision against the contract.
func holds(t *rapid.T, s []model.VirtualService, r Result, state model.ServerState, since, now time.Time, timeout time.Duration) {
	if s[0].Servers[1].State != state || r.Services[0].Servers[0].State != model.Active {
		t.Fatal("the input or an active server was changed")
	}
	status, followed := r.Statuses[Key{"s", "b"}]
	got := r.Services[0].Servers[1].State
	over := state == model.Maintenance || state == model.Drain && timeout > 0 && !now.Before(since.Add(timeout))
	switch {
	case followed != (state != model.Active), !followed && got != model.Active:
		t.Fatalf("state %q, in the kernel %q, status %+v", state, got, status)
	case followed && got == model.Active:
		t.Fatal("a server that leaves is active in the kernel")
	case !over && (len(r.Resets) > 0 || got == model.Maintenance || status.Phase == Resetting):
		t.Fatalf("its time is not over: %+v", r)
	case over && !now.Before(since.Add(timeout).Add(grace)) && state == model.Drain && status.Phase != Drained:
		t.Fatalf("the grace is over: %+v", status)
	case followed && status.Phase != Drained && r.Next.IsZero():
		t.Fatal("nobody looks again")
	case !r.Next.IsZero() && !r.Next.After(now):
		t.Fatalf("next %v is not after %v", r.Next, now)
	}
}
