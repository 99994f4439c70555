package ipvs_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
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
		act        genl.Command
		err        error
		wantReason string
		want       string
	}{
		"no right":           {genl.NewService, syscall.EPERM, ipvs.ReasonKernelRefused, "NET_ADMIN"},
		"no scheduler":       {genl.NewService, syscall.ENOENT, ipvs.ReasonModuleMissing, "modprobe ip_vs_wlc"},
		"no old interface":   {genl.NewService, syscall.ENOPROTOOPT, ipvs.ReasonModuleMissing, "modprobe ip_vs`"},
		"no memory":          {genl.NewDest, syscall.ENOMEM, ipvs.ReasonKernelRefused, "out of memory"},
		"strange server":     {genl.NewDest, syscall.EINVAL, ipvs.ReasonKernelRefused, "broadcast, multicast"},
		"somebody else":      {genl.NewDest, syscall.ESRCH, ipvs.ReasonKernelRefused, "another program has removed the service"},
		"hangs":              {genl.NewDest, context.DeadlineExceeded, ipvs.ReasonKernelRefused, "did not answer in time"},
		"names the server":   {genl.NewDest, syscall.EBUSY, ipvs.ReasonKernelRefused, "add server pacs-b (192.0.2.12) of firewall mark 0x54000001"},
		"names the service":  {genl.NewService, syscall.EBUSY, ipvs.ReasonKernelRefused, "add service of firewall mark 0x54000001"},
		"no tunnel":          {genl.SetDest, syscall.EOPNOTSUPP, ipvs.ReasonKernelRefused, "modprobe ipip"},
		"no module any more": {genl.NewService, genl.ErrNoModule, ipvs.ReasonModuleMissing, "modprobe ip_vs`"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			fake := &ipvs.Fake{}
			dicom := ipvstest.Dicom()
			if tc.act == genl.SetDest {
				if err := set(t, fake, dicom); err != nil {
					t.Fatal(err)
				}
				dicom.Forwarding = model.Tunnel
			}
			fake.Refuse = func(c genl.Change) error {
				if c.Command != tc.act || c.Service.Mark != 0x54000001 {
					return nil
				}
				if errno, ok := tc.err.(syscall.Errno); ok {
					return genl.Refusal(c, errno)
				}
				return tc.err
			}
			err := set(t, fake, dicom, ipvstest.Web())
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
	if err := driver.Available(t.Context()); err == nil || !strings.Contains(err.Error(), "modprobe ip_vs") {
		t.Errorf("Available: %v", err)
	}
	if _, err := driver.State(t.Context()); err == nil || !strings.Contains(err.Error(), "modprobe ip_vs") {
		t.Errorf("State: %v", err)
	}
}

// TestRefusedServiceIsOneError: not one for each server, too.
func TestRefusedServiceIsOneError(t *testing.T) {
	fake := &ipvs.Fake{Refuse: func(c genl.Change) error {
		if c.Command == genl.NewService {
			return genl.Refusal(c, syscall.EPERM)
		}
		return nil
	}}
	err := set(t, fake, ipvstest.Dicom())
	if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != 1 {
		t.Errorf("got %v, want one error", err)
	}
}

func TestRefusedRemovalNamesTheMark(t *testing.T) {
	fake := &ipvs.Fake{}
	if err := set(t, fake, ipvstest.Dicom()); err != nil {
		t.Fatal(err)
	}
	fake.Refuse = func(c genl.Change) error { return genl.Refusal(c, syscall.EPERM) }
	items, _ := model.ItemErrors(set(t, fake))
	if items["0x54000001"] == nil {
		t.Errorf("got %v", items)
	}
}

func TestTimeoutsAreWrittenOnlyWhenDifferent(t *testing.T) {
	fake := &ipvs.Fake{}
	spy := &timeoutSpy{Kernel: fake}
	driver := ipvs.New(ipvs.Config{Kernel: spy, SysctlDir: ipvstest.Sysctls(t)})
	timeouts := model.IPVSTimeouts{TCP: time.Hour, TCPFin: 2 * time.Minute}
	for range 3 {
		if err := errors.Join(driver.Set(t.Context(), []model.VirtualService{ipvstest.Web()}), driver.SetSettings(t.Context(), timeouts)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]genl.Timeouts{{TCP: time.Hour}}, spy.written); diff != "" {
		t.Errorf("written (-want +got):\n%s", diff)
	}
}

type timeoutSpy struct {
	ipvs.Kernel
	written []genl.Timeouts
}

func (s *timeoutSpy) SetTimeouts(ctx context.Context, t genl.Timeouts) error {
	s.written = append(s.written, t)
	return s.Kernel.SetTimeouts(ctx, t)
}

func TestStateHasCounters(t *testing.T) {
	fake := &ipvs.Fake{}
	driver := ipvs.New(ipvs.Config{Kernel: fake})
	if err := driver.Set(t.Context(), []model.VirtualService{ipvstest.Web()}); err != nil {
		t.Fatal(err)
	}
	fake.SetFigures(0x54000002, netip.MustParseAddr("192.0.2.11"), 3, 4, genl.Stats{Connections: 9, BytesIn: 1 << 40})
	if err := driver.Set(t.Context(), []model.VirtualService{ipvstest.Web()}); err != nil || len(fake.Changes()) != 2 {
		t.Errorf("counters made the driver write: %v, %v", err, fake.Changes())
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

// TestAnyStateConvergesInOnePass starts from 10,000 states; a failure names its seed.
func TestAnyStateConvergesInOnePass(t *testing.T) {
	first := rand.Uint64()
	t.Logf("seeds from %d", first)
	for i := range uint64(10_000) {
		ipvstest.Converge(t, &ipvs.Fake{}, first+i, nil)
	}
}
