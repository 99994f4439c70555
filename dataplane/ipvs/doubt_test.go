package ipvs_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/model"
)

func leftover(mark uint32) []genl.Change {
	s := genl.Service{ServiceID: genl.ByMark(mark, false), Scheduler: "rr", PrefixLength: 32}
	return []genl.Change{
		{Command: genl.NewService, Service: s},
		{Command: genl.NewDest, Service: s, Destination: genl.Destination{Address: netip.MustParseAddrPort("192.0.2.77:0"), Weight: 1}},
	}
}

func dicomWith(weight int) model.VirtualService {
	s := ipvstest.Dicom()
	s.Servers[0].Weight = weight
	return s
}

// TestWhatTheListLacksIsChangedInPlace: it is added, exists, is read and changed, in one pass.
func TestWhatTheListLacksIsChangedInPlace(t *testing.T) {
	fake := &ipvs.Fake{}
	if err := set(t, fake, ipvstest.Dicom(), ipvstest.Web()); err != nil {
		t.Fatal(err)
	}
	_ = fake.Apply(t.Context(), leftover(0x54000001)) // a server too many
	fake.Unlisted = func(id genl.ServiceID) bool { return id.Mark == 0x54000001 }
	next := dicomWith(1)
	next.Scheduler = model.RoundRobin
	if err := set(t, fake, next, ipvstest.Web()); err != nil {
		t.Fatal(err)
	}
	fake.Unlisted = nil
	want := []string{
		"firewall mark 0x54000001 -> 192.0.2.11:0 forward 3 weight 1", "firewall mark 0x54000001 -> 192.0.2.12:0 forward 3 weight 100",
		"firewall mark 0x54000001 rr flags 0x1 timeout 300 /32",
		"firewall mark 0x54000002 -> 192.0.2.11:0 forward 3 weight 1", "firewall mark 0x54000002 rr",
	}
	if diff := cmp.Diff(want, ipvstest.Table(t, fake)); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// TestInterruptedList: what is wanted is made right; a leftover that the table does not show either
// stays and goes as soon as the list can be read.
func TestInterruptedList(t *testing.T) {
	fake := &ipvs.Fake{Unshown: func(id genl.ServiceID) bool { return id.Mark == 0x54000009 }}
	if err := set(t, fake, ipvstest.Dicom()); err != nil {
		t.Fatal(err)
	}
	_ = fake.Apply(t.Context(), leftover(0x54000009))
	fake.Interrupted = true
	driver := ipvs.New(ipvs.Config{Kernel: fake})
	all := []model.VirtualService{dicomWith(7), ipvstest.Web()}
	err := driver.Set(t.Context(), all)
	if items, rest := model.ItemErrors(err); len(items) != 0 || !errors.Is(rest, genl.ErrInterrupted) {
		t.Errorf("got %v", err)
	}
	fake.Interrupted = false
	if got := len(ipvstest.Table(t, fake)); got != 7 {
		t.Errorf("%d lines: %q, want 7: the leftover and what is wanted", got, ipvstest.Table(t, fake))
	}
	if err := driver.Set(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if got := len(ipvstest.Table(t, fake)); got != 5 {
		t.Errorf("%d lines: %q, want 5: the leftover gone", got, ipvstest.Table(t, fake))
	}
}

// phantom is a kernel whose list and table have a service of ours, and whose first reading of
// destinations has one, that a second question does not confirm.
type phantom struct {
	*ipvs.Fake
	asked int
}

func (p *phantom) Services(ctx context.Context) ([]genl.Service, error) {
	all, err := p.Fake.Services(ctx)
	return append(all, leftover(0x54000009)[0].Service), err
}

func (p *phantom) Destinations(ctx context.Context, id genl.ServiceID) ([]genl.Destination, error) {
	if id.Mark == 0x54000009 {
		return nil, nil
	}
	all, err := p.Fake.Destinations(ctx, id)
	if p.asked++; p.asked == 1 {
		all = append(all, leftover(0x54000009)[1].Destination)
	}
	return all, err
}

func TestOneReadingRemovesNothing(t *testing.T) {
	p := &phantom{Fake: &ipvs.Fake{}}
	if err := set(t, p.Fake, ipvstest.Dicom()); err != nil {
		t.Fatal(err)
	}
	before := len(p.Changes())
	if err := set(t, p, ipvstest.Dicom()); err != nil {
		t.Fatal(err)
	}
	if got := p.Changes()[before:]; len(got) != 0 {
		t.Errorf("changes %v, want none: a second reading does not agree", got)
	}
}

// forgetful is a kernel that for once says of a leftover that it is not there.
type forgetful struct {
	*ipvs.Fake
	lies int
}

func (f *forgetful) Service(ctx context.Context, id genl.ServiceID) (genl.Service, error) {
	if f.lies > 0 {
		f.lies--
		return genl.Service{}, genl.ErrNoService
	}
	return f.Fake.Service(ctx, id)
}

// TestRefutedRemovalIsTriedAgain until two readings agree.
func TestRefutedRemovalIsTriedAgain(t *testing.T) {
	for lies := range 12 {
		f := &forgetful{Fake: &ipvs.Fake{}, lies: lies}
		_ = f.Apply(t.Context(), leftover(0x54000009))
		driver := ipvs.New(ipvs.Config{Kernel: f})
		for range 8 {
			if err := driver.Set(t.Context(), []model.VirtualService{ipvstest.Dicom()}); err != nil {
				t.Fatal(err)
			}
		}
		if got := len(ipvstest.Table(t, f)); got != 3 {
			t.Errorf("%d lies: %q, want the leftover gone", lies, ipvstest.Table(t, f))
		}
	}
}

// TestTableThatLosesServices: another network namespace makes the kernel's file incomplete.
func TestTableThatLosesServices(t *testing.T) {
	fake := &ipvs.Fake{Unshown: func(id genl.ServiceID) bool { return id.Mark%3 == 0 }}
	driver := ipvs.New(ipvs.Config{Kernel: fake})
	all := numbered(200)
	for range 3 {
		if err := driver.Set(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(fake.Changes()); got != 600 {
		t.Errorf("%d changes, want the 600 of the first programming", got)
	}
	all[3].Servers[0].Weight, all[4].Servers[0].Weight = 7, 8
	if err := driver.Set(t.Context(), all[:199]); err != nil {
		t.Fatal(err)
	}
	if got := len(fake.Changes()); got != 603 {
		t.Errorf("%d changes, want 603: two weights and a service less", got)
	}
}

func numbered(n int) []model.VirtualService {
	all := make([]model.VirtualService, n)
	for i := range all {
		all[i] = ipvstest.Dicom()
		all[i].Key, all[i].Mark = fmt.Sprint("service", i), 0x54000001+uint32(i)
	}
	return all
}

// TestCallWithoutNews reads the table once and a few services by netlink, whatever their number.
func TestCallWithoutNews(t *testing.T) {
	fake := &ipvs.Fake{}
	driver := ipvs.New(ipvs.Config{Kernel: fake})
	all := numbered(1000)
	if err := driver.Set(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	lists := 0
	for range 64 {
		before := fake.Reads()
		if err := driver.Set(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		after := fake.Reads()
		lists += after.Lists - before.Lists
		got := ipvs.Reads{Tables: after.Tables - before.Tables, Services: after.Services, Destinations: after.Destinations - before.Destinations}
		if want := (ipvs.Reads{Tables: 1, Destinations: 8}); got != want {
			t.Fatalf("read %+v, want %+v", got, want)
		}
	}
	if lists != 2 || len(fake.Changes()) != 3000 {
		t.Errorf("%d lists in 64 calls, %d changes; want 2, 3000", lists, len(fake.Changes()))
	}
}

// TestTableThatLosesAFew: those are read by netlink with each call, and the rest is not parsed.
func TestTableThatLosesAFew(t *testing.T) {
	fake := &ipvs.Fake{Unshown: func(id genl.ServiceID) bool { return id.Mark == 0x54000001 }}
	driver := ipvs.New(ipvs.Config{Kernel: fake})
	all := numbered(1000)
	set := func() {
		t.Helper()
		if err := driver.Set(t.Context(), all); err != nil {
			t.Fatal(err)
		}
	}
	set()
	set()
	before := fake.Reads()
	set()
	after := fake.Reads()
	got := ipvs.Reads{Tables: after.Tables - before.Tables, Services: after.Services - before.Services, Destinations: after.Destinations - before.Destinations}
	if want := (ipvs.Reads{Tables: 1, Services: 1, Destinations: 9}); got != want {
		t.Errorf("read %+v, want %+v", got, want)
	}
	unseen := genl.Service{ServiceID: genl.ByMark(0x54000001, false), Scheduler: "rr", PrefixLength: 32}
	fake.Apply(t.Context(), []genl.Change{{Command: genl.SetService, Service: unseen}})
	set()
	if s, err := fake.Service(t.Context(), unseen.ServiceID); err != nil || s.Scheduler != "wlc" {
		t.Errorf("what the table does not show is not put right: %v, %v", s, err)
	}
}

// TestAdoptionReadsOnce: the weights that an agent asks for at its start and its first Set share one
// reading.
func TestAdoptionReadsOnce(t *testing.T) {
	fake := &ipvs.Fake{}
	all := numbered(100)
	if err := set(t, fake, all...); err != nil {
		t.Fatal(err)
	}
	before := fake.Reads()
	driver := ipvs.New(ipvs.Config{Kernel: fake})
	fake.Interrupted = true
	if weights, err := driver.Weights(t.Context()); !errors.Is(err, genl.ErrInterrupted) {
		t.Errorf("a list that others interrupt is taken for all: %v, %v", weights, err)
	}
	fake.Interrupted = false
	fake.Unlisted = func(id genl.ServiceID) bool { return id.Mark == 0x54000001 }
	weights, err := driver.Weights(t.Context())
	if err != nil || len(weights) != 100 || weights[0x54000001]["192.0.2.11"] != 100 {
		t.Errorf("got %v, %v", weights, err)
	}
	if err := driver.Set(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	if got := fake.Reads().Destinations - before.Destinations; got != 108 {
		t.Errorf("the destinations were read %d times, want 108: each once, and a turn of eight", got)
	}
}

// TestModuleThatIsLoadedAnew is empty; the next call makes all anew.
func TestModuleThatIsLoadedAnew(t *testing.T) {
	kernel := &swapped{Fake: &ipvs.Fake{}}
	driver := ipvs.New(ipvs.Config{Kernel: kernel})
	for _, n := range []int{3, 100} {
		all := numbered(n)
		for range 2 {
			if err := driver.Set(t.Context(), all); err != nil {
				t.Fatal(err)
			}
		}
		kernel.Fake = &ipvs.Fake{Missing: true}
		if items, rest := model.ItemErrors(driver.Set(t.Context(), all)); len(items) != n || rest != nil {
			t.Errorf("without the module: %d item errors, %v", len(items), rest)
		}
		kernel.Fake = &ipvs.Fake{}
		if err := driver.Set(t.Context(), all); err != nil {
			t.Fatal(err)
		}
		if got := len(ipvstest.Table(t, kernel)); got != 3*n {
			t.Errorf("%d lines, want %d", got, 3*n)
		}
		kernel.Fake = &ipvs.Fake{} // unloaded and loaded between two calls
		if err := driver.Set(t.Context(), all); err != nil || len(ipvstest.Table(t, kernel)) != 3*n {
			t.Errorf("%v, %d lines, want %d", err, len(ipvstest.Table(t, kernel)), 3*n)
		}
	}
}

type swapped struct{ *ipvs.Fake }

// TestUnknownOutcomeIsRead: the kernel has carried a train out and its answer is lost.
func TestUnknownOutcomeIsRead(t *testing.T) {
	fake := &lossy{Fake: &ipvs.Fake{}}
	if err := set(t, fake, ipvstest.Dicom(), ipvstest.Web()); err != nil {
		t.Fatal(err)
	}
	if got := len(ipvstest.Table(t, fake)); got != 5 || fake.lost != 1 {
		t.Errorf("%d lines, want 5; %d answers lost", got, fake.lost)
	}
}

type lossy struct {
	*ipvs.Fake
	lost int
}

func (l *lossy) Apply(ctx context.Context, changes []genl.Change) []error {
	results := l.Fake.Apply(ctx, changes)
	if l.lost == 0 {
		l.lost++
		for i := range results {
			results[i] = fmt.Errorf("ipvs: %w", genl.ErrOverrun)
		}
	}
	return results
}

// TestEndlessTrouble ends: another program undoes each change at once.
func TestEndlessTrouble(t *testing.T) {
	fake := &ipvs.Fake{}
	fake.Refuse = func(c genl.Change) error { return genl.Refusal(c, 3) } // ESRCH
	err := set(t, fake, ipvstest.Dicom())
	if err == nil || !strings.Contains(err.Error(), "another program has removed the service") {
		t.Errorf("got %v", err)
	}
	if got := len(fake.Changes()); got > 20 {
		t.Errorf("%d changes in one call", got)
	}
}

// hanging is a kernel that does not answer.
type hanging struct{ *ipvs.Fake }

func (hanging) Services(ctx context.Context) ([]genl.Service, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestHangingKernelIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		items, rest := model.ItemErrors(set(t, hanging{&ipvs.Fake{}}, ipvstest.Dicom()))
		item := items[ipvstest.Dicom().Key]
		if took := time.Since(begin); item == nil || rest != nil || took > 5*time.Minute || !strings.Contains(item.Error(), "did not answer in time") {
			t.Errorf("after %s: %v, %v", took, items, rest)
		}
	})
}
