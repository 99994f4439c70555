package agent

import (
	"bytes"
	"context"
	"errors"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/truepacs/balancer/dataplane/model"
)

// host is a host in memory: it stands in for every driver and keeps the order of calls.
type host struct {
	mu       sync.Mutex
	calls    []string
	services []model.VirtualService
	vips     []model.VirtualIP
	proxy    model.Proxy
	verdicts map[string]model.Verdict
	targets  []model.Target
	weights  map[uint32]map[string]int
	readErr  error
	setErr   error
	rules    PacketRules
	seen     ProxyState
	held     error             // of the driver of addresses
	told     []model.VirtualIP // that were announced
}

func (h *host) did(call string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, call)
}

type ipvsOf struct{ *host }

func (d ipvsOf) Set(_ context.Context, all []model.VirtualService, _ model.IPVSTimeouts) error {
	d.did("ipvs")
	d.mu.Lock()
	defer d.mu.Unlock()
	d.services = all
	return d.setErr
}
func (d ipvsOf) Weights(context.Context) (map[uint32]map[string]int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.weights, d.readErr
}

type nftOf struct{ *host }

func (d nftOf) Set(_ context.Context, rules PacketRules) error {
	d.did("nft")
	d.rules = rules
	return nil
}

type addressesOf struct{ *host }

func (d addressesOf) Set(_ context.Context, all []model.VirtualIP) error {
	d.did("addresses")
	d.vips = all
	return d.held
}

type announcerOf struct{ *host }

func (d announcerOf) Set(_ context.Context, all []model.VirtualIP) error {
	d.did("announce")
	d.told = all
	return nil
}

type realServerOf struct{ *host }

func (d realServerOf) Set(context.Context, []model.LoopbackVIP) error {
	d.did("realserver")
	return nil
}

type proxyOf struct{ *host }

func (d proxyOf) Set(_ context.Context, p model.Proxy) error { d.did("proxy"); d.proxy = p; return nil }
func (d proxyOf) State() ProxyState {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.seen
	s.Connected = true
	return s
}

type checkerOf struct{ *host }

func (d checkerOf) Set(all []model.Target, healthy map[string]bool) {
	d.targets = all
	for _, target := range all {
		if healthy[target.Key] {
			d.verdicts[target.Key] = model.Verdict{Healthy: true}
		}
	}
}
func (d checkerOf) Verdicts() map[string]model.Verdict { return d.verdicts }
func (d checkerOf) Close()                             {}

func newHost() *host { return &host{verdicts: map[string]model.Verdict{}} }

func (h *host) drivers() Drivers {
	return Drivers{
		ipvsOf{h}, nftOf{h}, addressesOf{h}, announcerOf{h}, realServerOf{h}, proxyOf{h}, checkerOf{h}, nil,
	}
}

func testNode() model.Node {
	return model.Node{
		VirtualIPs: []model.VirtualIP{{Key: "ns/b/main", Address: netip.MustParseAddr("192.0.2.100"), Interface: "eth0"}},
		Services: []model.VirtualService{{
			Key: "ns/b/dicom", Mark: 7, Ports: []uint16{104},
			Servers: []model.RealServer{
				{Name: "a", Address: netip.MustParseAddr("192.0.2.11"), Weight: 100, Target: "ns/b/p/a"},
				{Name: "b", Address: netip.MustParseAddr("192.0.2.12"), Weight: 100, Target: "ns/b/p/b"},
			},
		}},
		Targets: []model.Target{{Key: "ns/b/p/a"}, {Key: "ns/b/p/b"}},
	}
}

func weightsOf(services []model.VirtualService) []int {
	var w []int
	for _, s := range services {
		for _, server := range s.Servers {
			w = append(w, server.Weight)
		}
	}
	return w
}

func newStore(t *testing.T) *Store { return &Store{Dir: t.TempDir(), SecretDir: t.TempDir()} }

// run runs an agent over h in a bubble of synctest and hands it to use.
func run(t *testing.T, h *host, store *Store, use func(a *Agent)) {
	synctest.Test(t, func(t *testing.T) {
		a := New(Config{Log: logr.Discard(), Store: store, Drivers: h.drivers()})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); a.Run(ctx) }()
		use(a)
		cancel()
		<-done
	})
}

func TestServersThatAreNotHealthyHaveNoWeight(t *testing.T) {
	h := newHost()
	h.verdicts["ns/b/p/b"] = model.Verdict{Known: true, Healthy: true}
	run(t, h, newStore(t), func(a *Agent) {
		if _, err := a.SetDesired(testNode(), nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]int{0, 100}, weightsOf(h.services)); diff != "" {
			t.Errorf("weights (-want +got):\n%s", diff)
		}
		if want := []string{"realserver", "ipvs", "nft", "addresses", "proxy", "announce"}; !slices.Equal(h.calls, want) {
			t.Errorf("order of drivers %v, want %v", h.calls, want)
		}
		if diff := cmp.Diff([]int{100, 100}, weightsOf(a.Observed().Node.Services)); diff != "" {
			t.Errorf("the desired node was changed (-want +got):\n%s", diff)
		}
	})
}

// TestOnlyAddressesThatAreHeldAreAnnounced: one that another host has is not, and while it is not
// known which ones this host holds, announcements stay as they are.
func TestOnlyAddressesThatAreHeldAreAnnounced(t *testing.T) {
	h, node := newHost(), testNode()
	node.VirtualIPs = append(node.VirtualIPs, model.VirtualIP{Key: "ns/b/second", Address: netip.MustParseAddr("192.0.2.101"), Interface: "eth0"})
	h.held = errors.Join(&model.ItemError{Key: "ns/b/main", Reason: "AddressOwnedByOther", Err: errors.New("02:00:00:00:00:99")})
	run(t, h, newStore(t), func(a *Agent) {
		if _, err := a.SetDesired(node, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if len(h.told) != 1 || h.told[0].Key != "ns/b/second" {
			t.Errorf("announced %v", h.told)
		}
		if refused := a.Observed().Refused["ns/b/main"]; refused == nil || refused.Reason != "AddressOwnedByOther" {
			t.Errorf("refused %v", a.Observed().Refused)
		}
		h.held = errors.New("the kernel did not answer")
		a.Wake()
		synctest.Wait()
		if len(h.told) != 1 || a.Observed().Failure == nil {
			t.Errorf("announced %v while nothing is known", h.told)
		}
		h.held = nil
		a.Wake()
		synctest.Wait()
		if len(h.told) != 2 {
			t.Errorf("announced %v", h.told)
		}
	})
}

func TestRestartKeepsKernelsVerdicts(t *testing.T) {
	store := newStore(t)
	if err := store.Save(Saved{Node: testNode(), Source: []byte(`{"x":1}`)}); err != nil {
		t.Fatal(err)
	}
	h := newHost()
	h.weights = map[uint32]map[string]int{7: {"192.0.2.11": 100, "192.0.2.12": 0}}
	run(t, h, store, func(a *Agent) {
		saved, err := a.Restore()
		if err != nil || string(saved.Source) != `{"x":1}` {
			t.Fatalf("restored %s, %v", saved.Source, err)
		}
		synctest.Wait()
		if diff := cmp.Diff([]int{100, 0}, weightsOf(h.services)); diff != "" {
			t.Errorf("weights (-want +got):\n%s", diff)
		}
	})
}

func TestUnreadableKernelStaysAsItIs(t *testing.T) {
	h := newHost()
	h.readErr = errors.New("netlink: no answer")
	run(t, h, newStore(t), func(a *Agent) {
		_, _ = a.SetDesired(testNode(), nil)
		synctest.Wait()
		if slices.Contains(h.calls, "ipvs") {
			t.Error("IPVS was written without having been read")
		}
		if len(h.rules.Services) != 1 || h.rules.Services[0].Mark != 7 || len(h.rules.Guarded) != 1 {
			t.Errorf("the addresses are held without marks or guard: %+v", h.rules)
		}
		if a.Observed().Failure == nil {
			t.Error("the failure is not reported")
		}
		h.mu.Lock()
		h.readErr = nil
		h.weights = map[uint32]map[string]int{7: {"192.0.2.11": 100, "192.0.2.12": 100}}
		h.mu.Unlock()
		time.Sleep(11 * time.Second) // the next resync
		synctest.Wait()
		if diff := cmp.Diff([]int{100, 100}, weightsOf(h.services)); diff != "" {
			t.Errorf("weights after recovery (-want +got):\n%s", diff)
		}
	})
}

func TestNothingIsTouchedWithoutState(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"missing":       os.Remove,
		"truncated":     func(path string) error { return os.Truncate(path, 40) },
		"empty":         func(path string) error { return os.Truncate(path, 0) },
		"newer version": func(path string) error { return os.WriteFile(path, []byte(`{"version":3,"saved":{}}`), 0o600) },
		"bit flip": func(path string) error {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			return os.WriteFile(path, []byte(string(b[:60])+"9"+string(b[61:])), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			store := newStore(t)
			if err := store.Save(Saved{Node: testNode()}); err != nil {
				t.Fatal(err)
			}
			if err := damage(store.modelPath()); err != nil {
				t.Fatal(err)
			}
			h := newHost()
			run(t, h, store, func(a *Agent) {
				if _, err := a.Restore(); !errors.Is(err, ErrNoState) {
					t.Fatalf("error %v", err)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				if len(h.calls) != 0 {
					t.Errorf("drivers were called: %v", h.calls)
				}
			})
		})
	}
}

func TestRefusedItemIsReported(t *testing.T) {
	h := newHost()
	h.setErr = errors.Join(&model.ItemError{Key: "ns/b/dicom", Reason: "KernelRefused", Err: errors.New("no")}, errors.New("other"))
	run(t, h, newStore(t), func(a *Agent) {
		revision, _ := a.SetDesired(testNode(), nil)
		synctest.Wait()
		got := a.Observed()
		if got.Revision != revision || got.Refused["ns/b/dicom"] == nil || got.Failure == nil {
			t.Errorf("observed %+v", got)
		}
	})
}

func TestStoreKeepsKeysOffTheDisk(t *testing.T) {
	store := newStore(t)
	node := testNode()
	node.Proxy.Listeners = []model.Listener{
		{Name: "tls", TLS: &model.TLS{Certificates: []model.Certificate{{Name: "ns/cert", CertPEM: []byte("C"), KeyPEM: []byte("SECRET")}}}},
		{Name: "kept", TLS: &model.TLS{Certificates: []model.Certificate{{Name: "ns/cert", CertPEM: []byte("OLD"), KeyPEM: []byte("OLD SECRET")}}}},
		{Name: "clear"},
	}
	if err := store.Save(Saved{Node: node}); err != nil {
		t.Fatal(err)
	}
	got, err := store.Load()
	if err != nil {
		t.Fatal(err)
	}
	opts := cmp.Options{cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}), cmpopts.EquateEmpty()}
	if diff := cmp.Diff(node, got.Node, opts); diff != "" {
		t.Errorf("what was saved came back changed (-want +got):\n%s", diff)
	}
	if string(node.Proxy.Listeners[0].TLS.Certificates[0].KeyPEM) != "SECRET" {
		t.Error("Save changed what the caller holds")
	}
	onDisk, err := os.ReadFile(store.modelPath())
	if err != nil || bytes.Contains(onDisk, []byte("SECRET")) || bytes.Contains(onDisk, []byte("U0VDUkVU")) {
		t.Errorf("the private key is on disk (%v)", err)
	}
	if err := os.WriteFile(store.keysPath(), []byte(`{"ns/cert":"U0VDUkVU"}`), 0o600); err != nil { // as version 0.1 wrote it
		t.Fatal(err)
	}
	if got, err = store.Load(); err != nil || string(got.Node.Proxy.Listeners[0].TLS.Certificates[0].KeyPEM) != "SECRET" {
		t.Errorf("keys of version 0.1: %+v, %v", got.Node.Proxy.Listeners, err)
	}
	if err := os.Remove(store.keysPath()); err != nil {
		t.Fatal(err)
	}
	got, err = store.Load()
	if err != nil || len(got.Node.Proxy.Listeners) != 1 || got.Node.Proxy.Listeners[0].Name != "clear" {
		t.Errorf("after a power failure: %+v, %v", got.Node.Proxy.Listeners, err)
	}
}
