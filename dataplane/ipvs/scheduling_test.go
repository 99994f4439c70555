package ipvs_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/model"
)

func hashed(weights ...int) model.VirtualService {
	s := model.VirtualService{
		Key: "pacs/radiology/dicom", Mark: 0x54000001, Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.100")},
		Protocol: model.TCP, Ports: []uint16{104}, Forwarding: model.DirectRouting, Scheduler: model.MaglevHash,
		SchedulerFlags: model.SchedulerFlags{Fallback: true}, Persistence: &model.Persistence{Timeout: time.Minute, PrefixLength: 24},
	}
	for i, w := range weights {
		s.Servers = append(s.Servers, model.RealServer{
			Name: string(rune('a' + i)), Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + i)}), Weight: w, MaxConnections: 9,
		})
	}
	return s
}

// TestSchedulingRemembersWeights: a server keeps its last weight above 0, one that was added without
// has none, and one whose weight was 0 before the driver came counts with the others' weight.
func TestSchedulingRemembersWeights(t *testing.T) {
	kernel := &ipvs.Fake{}
	driver := ipvs.New(ipvs.Config{Kernel: kernel})
	last := func(driver *ipvs.Driver) map[string]int {
		s, err := driver.Scheduling(t.Context(), 0x54000001, false)
		if err != nil {
			t.Fatal(err)
		}
		out := map[string]int{}
		for i, name := range s.Names {
			out[name] = s.Servers[i].LastWeight
		}
		for _, name := range s.Guessed {
			out["guessed "+name] = 1
		}
		return out
	}
	for _, step := range []struct {
		name    string
		weights []int
		want    map[string]int
	}{
		{"added", []int{5, 0, 7}, map[string]int{"a": 5, "b": 0, "c": 7}},
		{"taken away", []int{0, 0, 7}, map[string]int{"a": 5, "b": 0, "c": 7}},
		{"changed", []int{0, 3, 8}, map[string]int{"a": 5, "b": 3, "c": 8}},
	} {
		if err := driver.Set(t.Context(), []model.VirtualService{hashed(step.weights...)}); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, last(driver)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", step.name, diff)
		}
	}
	next := ipvs.New(ipvs.Config{Kernel: kernel})
	if err := next.Set(t.Context(), []model.VirtualService{hashed(0, 3, 8)}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]int{"a": 8, "b": 3, "c": 8, "guessed a": 1}, last(next)); diff != "" {
		t.Errorf("after a restart: -want +got:\n%s", diff)
	}
}

func TestSchedulingReadsTheKernel(t *testing.T) {
	kernel := &ipvs.Fake{}
	driver := ipvs.New(ipvs.Config{Kernel: kernel})
	if _, err := driver.Scheduling(t.Context(), 0x54000001, false); !errors.Is(err, genl.ErrNoService) {
		t.Errorf("no service: %v", err)
	}
	if err := driver.Set(t.Context(), []model.VirtualService{hashed(5)}); err != nil {
		t.Fatal(err)
	}
	kernel.SetFigures(0x54000001, netip.MustParseAddr("192.0.2.11"), 3, 4, genl.Stats{})
	s, err := driver.Scheduling(t.Context(), 0x54000001, false)
	if err != nil {
		t.Fatal(err)
	}
	d := s.Servers[0]
	if s.Scheduler != model.MaglevHash || !s.Flags.Fallback || s.Flags.Port || s.OnePacket || *s.Persistence != *hashed().Persistence ||
		d.Active != 3 || d.Inactive != 4 || d.Upper != 9 || d.Weight != 5 {
		t.Errorf("%+v", s)
	}
}
