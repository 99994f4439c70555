package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/model"
)

// kernel is a kernel with connections, all of server b, and the packet filter's rules.
type kernel struct {
	ipvsOf
	mu      sync.Mutex
	open    int
	reads   int
	err     error
	servers []model.RealServer
	resets  []drain.Flow
}

func (k *kernel) put(open int, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.open, k.err = open, err
}

// got returns how many connections are reset, and what IPVS was told of server b.
func (k *kernel) got() (resets int, b model.RealServer) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.resets), k.servers[1]
}

func (k *kernel) readings() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.reads
}

func (k *kernel) Set(_ context.Context, all []model.VirtualService, _ model.IPVSTimeouts) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.servers = all[0].Servers
	return nil
}

func (k *kernel) EachConnection(_ context.Context, services []model.VirtualService, visit func(*drain.Connection)) error {
	if len(services) != 1 {
		return errors.New("asked without services")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reads++
	for n := range k.open {
		visit(&drain.Connection{
			Service: "ns/b/dicom", Protocol: model.TCP, State: "ESTABLISHED", Server: netip.MustParseAddrPort("192.0.2.12:104"),
			Client: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.51"), uint16(n+1)), Virtual: netip.MustParseAddrPort("192.0.2.100:104"),
		})
	}
	return k.err
}

// filter is the packet filter of a kernel.
type filter struct{ *kernel }

func (f filter) Set(_ context.Context, r PacketRules) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.resets = r.Resets
	return nil
}

func drainedNode(state model.ServerState, timeout time.Duration) model.Node {
	node := testNode()
	node.Services[0].DrainTimeout = timeout
	node.Services[0].Servers[1].State = state
	return node
}

// leaving runs an agent over a kernel with connections.
func leaving(t *testing.T, store *Store, use func(a *Agent, k *kernel)) {
	t.Helper()
	h := newHost()
	h.verdicts["ns/b/p/a"] = model.Verdict{Known: true, Healthy: true}
	h.verdicts["ns/b/p/b"] = model.Verdict{Known: true, Healthy: true}
	k := &kernel{ipvsOf: ipvsOf{h}}
	drivers := h.drivers()
	drivers.VirtualServer, drivers.PacketFilter = k, filter{k}
	synctest.Test(t, func(t *testing.T) {
		a := New(Config{Log: logr.Discard(), Store: store, Drivers: drivers})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Run(ctx) }()
		use(a, k)
		cancel()
		<-done
	})
}

func (a *Agent) statusOfB() drain.Status {
	return a.Observed().Leaving[drain.Key{Service: "ns/b/dicom", Server: "b"}]
}

func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func TestDrainIsFollowed(t *testing.T) {
	leaving(t, newStore(t), func(a *Agent, k *kernel) {
		k.put(50, nil)
		_, _ = a.SetDesired(drainedNode(model.Drain, 0), nil)
		synctest.Wait()
		if s := a.statusOfB(); s.Phase != drain.Draining || s.Connections != 50 || s.Deadline != (time.Time{}) {
			t.Errorf("status %+v", s)
		}
		k.put(7, nil)
		wait(6 * time.Second)
		if s := a.statusOfB(); s.Connections != 7 {
			t.Errorf("status %+v", s)
		}
		k.put(0, errors.New("no answer"))
		wait(time.Minute)
		if s := a.statusOfB(); s.Phase != drain.Draining {
			t.Errorf("what could not be read counts as nothing: %+v", s)
		}
		k.put(0, nil)
		wait(3 * time.Second)
		if s := a.statusOfB(); s.Phase != drain.Drained {
			t.Errorf("status %+v", s)
		}
		before := k.readings()
		wait(time.Hour)
		if n := k.readings() - before; n > 121 {
			t.Errorf("%d readings in an hour with nothing left", n)
		}
	})
}

func TestDeadlineResetsAndForgets(t *testing.T) {
	leaving(t, newStore(t), func(a *Agent, k *kernel) {
		k.put(3, nil)
		_, _ = a.SetDesired(drainedNode(model.Drain, 20*time.Second), nil)
		wait(19 * time.Second)
		if resets, b := k.got(); resets != 0 || b.State != model.Drain {
			t.Errorf("before the deadline: %d resets, %+v", resets, b)
		}
		wait(2 * time.Second)
		if resets, b := k.got(); resets != 3 || b.State != model.Drain {
			t.Errorf("after the deadline: %d resets, %+v", resets, b)
		}
		k.put(0, nil)
		wait(5 * time.Second)
		if resets, b := k.got(); resets != 0 || b.State != model.Maintenance || a.statusOfB().Phase != drain.Drained {
			t.Errorf("afterwards: %d resets, %+v, %+v", resets, b, a.statusOfB())
		}
		_, _ = a.SetDesired(drainedNode(model.Active, 20*time.Second), nil)
		synctest.Wait()
		if _, s := k.got(); s.State != model.Active || s.Weight != 100 || len(a.Observed().Leaving) != 0 {
			t.Errorf("active again: %+v", s)
		}
	})
}

// TestRestartKeepsTheDeadline: an agent that is started again, and again after its source has spoken,
// goes on where the first one was.
func TestRestartKeepsTheDeadline(t *testing.T) {
	store := newStore(t)
	var first drain.Status
	node := drainedNode(model.Drain, 20*time.Second)
	leaving(t, store, func(a *Agent, k *kernel) {
		k.put(3, nil)
		_, _ = a.SetDesired(node, []byte(`{"x":1}`))
		wait(time.Second)
		first = a.statusOfB()
	})
	for round := range 2 {
		leaving(t, store, func(a *Agent, k *kernel) {
			k.put(3, nil)
			time.Sleep(15 * time.Second) // each bubble begins at the same time
			saved, err := a.Restore()
			if err != nil || string(saved.Source) != `{"x":1}` {
				t.Fatalf("restored %s, %v", saved.Source, err)
			}
			synctest.Wait()
			if s := a.statusOfB(); s.Deadline != first.Deadline || s.Phase != drain.Draining {
				t.Errorf("round %d: status %+v, want deadline %v", round, s, first.Deadline)
			}
			_, _ = a.SetDesired(node, []byte(`{"x":1}`))
			wait(6 * time.Second)
			if resets, _ := k.got(); resets != 3 {
				t.Errorf("round %d: %d resets after the deadline", round, resets)
			}
		})
	}
}

// TestStateOfOtherVersions reads files as the version before and the one after this write them.
func TestStateOfOtherVersions(t *testing.T) {
	since := time.Unix(1000, 0).UTC()
	for name, tc := range map[string]struct {
		version int
		saved   string
		want    int
	}{
		"before": {1, `{"node":{"proxy":{}}}`, 0},
		"after":  {2, `{"node":{"proxy":{}},"leaving":{"k":{"state":"Drain","since":"1970-01-01T00:16:40Z","by":"x"}},"more":[1]}`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore(t)
			sum := sha256.Sum256([]byte(tc.saved))
			file, err := json.Marshal(stateFile{tc.version, hex.EncodeToString(sum[:]), json.RawMessage(tc.saved)})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(store.modelPath(), file, 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := store.Load()
			if err != nil || len(got.Leaving) != tc.want {
				t.Fatalf("%+v, %v", got.Leaving, err)
			}
			if tc.want > 0 && got.Leaving["k"] != (drain.Start{State: model.Drain, Since: since}) {
				t.Errorf("%+v", got.Leaving)
			}
		})
	}
}
