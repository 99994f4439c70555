package ipvs_test

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/model"
)

func TestContractOfTheFake(t *testing.T) {
	ipvstest.Contract(t, func(*testing.T) ipvs.Kernel { return &ipvs.Fake{} })
}

func set(t *testing.T, kernel ipvs.Kernel, all ...model.VirtualService) error {
	t.Helper()
	return ipvs.New(ipvs.Config{Kernel: kernel}).Set(t.Context(), all)
}

func TestErrorsSayWhatToDo(t *testing.T) {
	tests := map[string]struct {
		act        ipvs.Act
		err        error
		wantReason string
		want       string
	}{
		"no right":          {ipvs.AddService, syscall.EPERM, ipvs.ReasonKernelRefused, "NET_ADMIN"},
		"no scheduler":      {ipvs.AddService, syscall.ENOENT, ipvs.ReasonModuleMissing, "modprobe ip_vs_wlc"},
		"no old interface":  {ipvs.AddService, syscall.ENOPROTOOPT, ipvs.ReasonModuleMissing, "modprobe ip_vs`"},
		"no memory":         {ipvs.AddDestination, syscall.ENOMEM, ipvs.ReasonKernelRefused, "out of memory"},
		"strange server":    {ipvs.AddDestination, syscall.EINVAL, ipvs.ReasonKernelRefused, "broadcast or multicast"},
		"somebody else":     {ipvs.AddDestination, syscall.ESRCH, ipvs.ReasonKernelRefused, "another program has removed the service"},
		"hangs":             {ipvs.AddDestination, context.DeadlineExceeded, ipvs.ReasonKernelRefused, "did not answer in time"},
		"names the server":  {ipvs.AddDestination, syscall.EBUSY, ipvs.ReasonKernelRefused, "add server pacs-b (192.0.2.12) of firewall mark 0x54000001"},
		"names the service": {ipvs.AddService, syscall.EBUSY, ipvs.ReasonKernelRefused, "add service of firewall mark 0x54000001"},
		"module reloaded":   {ipvs.AddService, ipvs.ErrReloaded, ipvs.ReasonKernelRefused, "restart the agent"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			fake := &ipvs.Fake{Refuse: func(step ipvs.Step) error {
				if step.Act != tc.act || step.Service.Mark != 0x54000001 {
					return nil
				}
				return tc.err
			}}
			err := set(t, fake, ipvstest.Dicom(), ipvstest.Web())
			items, rest := model.ItemErrors(err)
			item := items[ipvstest.Dicom().Key]
			if item == nil || len(items) != 1 || rest != nil {
				t.Fatalf("got %v and %v", items, rest)
			}
			if item.Reason != tc.wantReason || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %s, %v, want %s, %q", item.Reason, err, tc.wantReason, tc.want)
			}
			if services, _ := fake.Services(t.Context()); len(services) == 0 {
				t.Error("the other service was not added")
			}
		})
	}
}

func TestKernelWithoutIPVS(t *testing.T) {
	fake := &ipvs.Fake{Missing: true}
	items, rest := model.ItemErrors(set(t, fake, ipvstest.Dicom(), ipvstest.Web()))
	if len(items) != 2 || rest != nil || items[ipvstest.Web().Key].Reason != ipvs.ReasonModuleMissing {
		t.Errorf("got %v and %v", items, rest)
	}
	if err := set(t, fake); err != nil {
		t.Errorf("a host without services complains: %v", err)
	}
	driver := ipvs.New(ipvs.Config{Kernel: fake})
	for name, err := range map[string]error{
		"Available":   driver.Available(t.Context()),
		"SetTimeouts": driver.SetTimeouts(t.Context(), time.Hour, 0, 0),
	} {
		if err == nil || !strings.Contains(err.Error(), "modprobe ip_vs") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := driver.State(t.Context()); err == nil || !strings.Contains(err.Error(), "modprobe ip_vs") {
		t.Errorf("State: %v", err)
	}
}

// TestRefusedServiceGetsNoServers: one error, not one for each server.
func TestRefusedServiceGetsNoServers(t *testing.T) {
	fake := &ipvs.Fake{Refuse: func(ipvs.Step) error { return syscall.EPERM }}
	_ = set(t, fake, ipvstest.Dicom())
	if got := len(fake.Steps()); got != 1 {
		t.Errorf("%d steps, want 1", got)
	}
}

func TestRefusedRemovalNamesTheMark(t *testing.T) {
	fake := &ipvs.Fake{}
	if err := set(t, fake, ipvstest.Dicom()); err != nil {
		t.Fatal(err)
	}
	fake.Refuse = func(ipvs.Step) error { return syscall.EPERM }
	items, _ := model.ItemErrors(set(t, fake))
	if items["0x54000001"] == nil {
		t.Errorf("got %v", items)
	}
}

// hidden is a kernel whose listing misses what is there, as an interrupted one does.
type hidden struct{ ipvs.Kernel }

func (hidden) Services(context.Context) ([]ipvs.Service, error) { return nil, nil }

func TestWhatTheListingMissedIsChangedInPlace(t *testing.T) {
	fake := &ipvs.Fake{}
	if err := set(t, fake, ipvstest.Dicom()); err != nil {
		t.Fatal(err)
	}
	next := ipvstest.Dicom()
	next.Scheduler, next.Servers[0].Weight = model.RoundRobin, 1
	if err := set(t, hidden{fake}, next); err != nil {
		t.Fatal(err)
	}
	services, _ := fake.Services(t.Context())
	destinations, _ := fake.Destinations(t.Context(), services[0])
	if services[0].Scheduler != "rr" || destinations[0].Weight != 1 {
		t.Errorf("got %+v %+v", services, destinations)
	}
}

func TestTimeoutsAreWrittenOnlyWhenDifferent(t *testing.T) {
	fake := &ipvs.Fake{}
	spy := &timeoutSpy{Kernel: fake}
	driver := ipvs.New(ipvs.Config{Kernel: spy})
	for range 3 {
		if err := driver.SetTimeouts(t.Context(), time.Hour, 2*time.Minute, 0); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]ipvs.Timeouts{{TCP: time.Hour}}, spy.written); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}

type timeoutSpy struct {
	ipvs.Kernel
	written []ipvs.Timeouts
}

func (s *timeoutSpy) SetTimeouts(ctx context.Context, t ipvs.Timeouts) error {
	s.written = append(s.written, t)
	return s.Kernel.SetTimeouts(ctx, t)
}

func TestStateHasCounters(t *testing.T) {
	fake := &ipvs.Fake{}
	driver := ipvs.New(ipvs.Config{Kernel: fake})
	if err := driver.Set(t.Context(), []model.VirtualService{ipvstest.Web()}); err != nil {
		t.Fatal(err)
	}
	fake.SetConnections(0x54000002, netip.MustParseAddr("192.0.2.11"), 3, 4, ipvs.Counters{Connections: 9, BytesIn: 1 << 40})
	if err := driver.Set(t.Context(), []model.VirtualService{ipvstest.Web()}); err != nil || len(fake.Steps()) != 2 {
		t.Errorf("counters made the driver write: %v, %v", err, fake.Steps())
	}
	state, err := driver.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := state[0].Servers[0]
	if got.Active != 3 || got.Inactive != 4 || got.Counters.Connections != 9 || got.Counters.BytesIn != 1<<40 {
		t.Errorf("got %+v", got)
	}
}

func TestSysctls(t *testing.T) {
	tests := map[string]struct {
		before map[string]string
		want   []ipvs.Setting
		after  map[string]string
	}{
		"fresh kernel": {
			map[string]string{"expire_quiescent_template": "0\n", "conn_reuse_mode": "1\n"},
			[]ipvs.Setting{{Name: "expire_quiescent_template", Old: "0", New: "1"}, {Name: "conn_reuse_mode", Old: "1", New: "3"}},
			map[string]string{"expire_quiescent_template": "1", "conn_reuse_mode": "3"},
		},
		"as needed": {
			map[string]string{"expire_quiescent_template": "1\n", "conn_reuse_mode": "3\n", "other": "7"},
			nil,
			map[string]string{"expire_quiescent_template": "1\n", "conn_reuse_mode": "3\n", "other": "7"},
		},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, content := range tc.before {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(content), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			got, err := ipvs.New(ipvs.Config{Kernel: &ipvs.Fake{}, SysctlDir: dir}).SetSysctls(t.Context())
			if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
				t.Errorf("changed (-want +got), %v:\n%s", err, diff)
			}
			after := map[string]string{}
			for file := range tc.before {
				b, _ := os.ReadFile(filepath.Join(dir, file))
				after[file] = string(b)
			}
			if diff := cmp.Diff(tc.after, after); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSysctlsOfNoIPVS(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "conn_reuse_mode"), []byte("0"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ipvs.New(ipvs.Config{Kernel: &ipvs.Fake{}, SysctlDir: dir}).SetSysctls(t.Context())
	if err == nil || !strings.Contains(err.Error(), "expire_quiescent_template") || !strings.Contains(err.Error(), "modprobe ip_vs") {
		t.Errorf("got %v", err)
	}
	if diff := cmp.Diff([]ipvs.Setting{{Name: "conn_reuse_mode", Old: "0", New: "3"}}, got); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(dir, "expire_quiescent_template")); err == nil {
		t.Error("a file was made")
	}
}

// TestAnyStateConvergesInOneCall starts from any services, own and foreign.
func TestAnyStateConvergesInOneCall(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fake := &ipvs.Fake{}
		foreign := map[string]ipvs.Service{}
		for range rapid.IntRange(0, 6).Draw(rt, "there") {
			s, own := anyService(rt)
			if fake.Apply(rt.Context(), ipvs.Step{Act: ipvs.AddService, Service: s}) != nil {
				continue
			}
			if !own {
				foreign[s.String()] = s
			}
			for range rapid.IntRange(0, 3).Draw(rt, "servers") {
				_ = fake.Apply(rt.Context(), ipvs.Step{Act: ipvs.AddDestination, Service: s, Destination: anyDestination(rt)})
			}
		}
		wanted := map[uint32]model.VirtualService{}
		for range rapid.IntRange(0, 4).Draw(rt, "wanted") {
			s := anyWanted(rt)
			wanted[s.Mark] = s
		}
		all := slices.Collect(maps.Values(wanted))
		driver := ipvs.New(ipvs.Config{Kernel: fake})
		if err := driver.Set(rt.Context(), all); err != nil {
			rt.Fatal(err)
		}
		checkState(rt, fake, driver, wanted, foreign)
		before := len(fake.Steps())
		if err := driver.Set(rt.Context(), all); err != nil || len(fake.Steps()) != before {
			rt.Fatalf("second call: %v, steps %v", err, fake.Steps()[before:])
		}
	})
}

func anyService(rt *rapid.T) (s ipvs.Service, own bool) {
	s = ipvs.Service{Scheduler: rapid.SampledFrom([]string{"rr", "sh", "wlc"}).Draw(rt, "scheduler"), PrefixLength: rapid.IntRange(1, 32).Draw(rt, "prefix")}
	if rapid.Bool().Draw(rt, "persistent") {
		s.Flags, s.Timeout = ipvs.FlagPersistent, 60
	}
	n := uint32(rapid.IntRange(1, 3).Draw(rt, "number"))
	switch rapid.IntRange(0, 2).Draw(rt, "kind") {
	case 0:
		s.Mark = 0x54000000 | n
		return s, true
	case 1:
		s.Mark = n
	case 2:
		s.Protocol, s.Address = 6, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.100"), uint16(n))
	}
	return s, false
}

func anyDestination(rt *rapid.T) ipvs.Destination {
	return ipvs.Destination{
		Address: anyAddress(rt), Port: uint16(rapid.IntRange(0, 1).Draw(rt, "port")), Weight: rapid.IntRange(0, 3).Draw(rt, "weight"),
		Forward: rapid.SampledFrom([]uint32{0, 2, 3}).Draw(rt, "forward"),
	}
}

func anyAddress(rt *rapid.T) netip.Addr {
	return netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(1, 4).Draw(rt, "octet"))})
}

func anyWanted(rt *rapid.T) model.VirtualService {
	s := ipvstest.Web()
	s.Mark = 0x54000000 | uint32(rapid.IntRange(1, 4).Draw(rt, "mark"))
	s.Key = fmt.Sprintf("service %x", s.Mark)
	s.Servers = nil
	for _, address := range rapid.SliceOfNDistinct(rapid.Custom(anyAddress), 0, 3, rapid.ID).Draw(rt, "addresses") {
		s.Servers = append(s.Servers, model.RealServer{Name: address.String(), Address: address, Weight: rapid.IntRange(0, 3).Draw(rt, "weight")})
	}
	if rapid.Bool().Draw(rt, "persistent") {
		s.Persistence = &model.Persistence{Timeout: time.Minute, PrefixLength: rapid.IntRange(1, 32).Draw(rt, "prefix")}
	}
	return s
}

func checkState(t *rapid.T, fake *ipvs.Fake, driver *ipvs.Driver, wanted map[uint32]model.VirtualService, foreign map[string]ipvs.Service) {
	state, err := driver.State(t.Context())
	if err != nil || len(state) != len(wanted) {
		t.Fatalf("state %v, %v, want %d services", state, err, len(wanted))
	}
	for _, o := range state {
		want := wanted[o.Mark]
		got := model.VirtualService{Key: o.Key, Mark: o.Mark, Scheduler: o.Scheduler, Persistence: o.Persistence}
		for _, s := range o.Servers {
			got.Servers = append(got.Servers, model.RealServer{Name: s.Address.String(), Address: s.Address, Weight: s.Weight})
		}
		slices.SortFunc(want.Servers, func(a, b model.RealServer) int { return a.Address.Compare(b.Address) })
		want = model.VirtualService{Key: want.Key, Mark: want.Mark, Scheduler: want.Scheduler, Persistence: want.Persistence, Servers: want.Servers}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			t.Fatalf("service %#x (-want +got):\n%s", o.Mark, diff)
		}
	}
	services, _ := fake.Services(t.Context())
	for _, s := range services {
		if before, ok := foreign[s.String()]; ok && before == s {
			delete(foreign, s.String())
		}
	}
	if len(foreign) != 0 {
		t.Fatalf("foreign services changed or gone: %v", foreign)
	}
}
