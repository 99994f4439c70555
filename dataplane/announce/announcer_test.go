package announce_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/model"
)

var (
	macA = announce.MAC{2, 0, 0, 0, 0, 1}
	macB = announce.MAC{2, 0, 0, 0, 0, 2}
	macC = announce.MAC{2, 0, 0, 0, 0, 3}
	macD = announce.MAC{2, 0, 0, 0, 0, 0x44}
	macX = announce.MAC{2, 0, 0, 0, 0, 0x99}
)

func vip(address, name string) model.VirtualIP {
	return model.VirtualIP{Key: "imaging/radiology/" + address, Address: netip.MustParseAddr(address), Interface: name}
}

// bench is an announcer on a fake network with two interfaces; its clock starts when it is made.
type bench struct {
	*announce.Announcer
	fake  *announce.Fake
	start time.Time
	logs  []string
}

func newBench(t *testing.T) *bench {
	b := &bench{fake: &announce.Fake{}, start: time.Now()}
	b.fake.SetInterface("tp0", announce.Interface{Index: 2, MAC: macA, Up: true})
	b.fake.SetInterface("tp1", announce.Interface{Index: 3, MAC: macB, Up: true})
	log := funcr.New(func(_, args string) { b.logs = append(b.logs, args) }, funcr.Options{})
	b.Announcer = announce.New(announce.Config{Network: b.fake, Log: log})
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func (b *bench) mustSet(t *testing.T, all ...model.VirtualIP) {
	t.Helper()
	if err := b.Set(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// sent says what was announced: second, interface, address and MAC, one line for the pair of
// request and reply.
func (b *bench) sent(t *testing.T) []string {
	t.Helper()
	all := b.fake.Sent()
	var lines []string
	for i := 0; i+1 < len(all); i += 2 {
		p, q := all[i].Packet, all[i+1].Packet
		if p.Operation != announce.Request || q.Operation != announce.Reply || p.SenderIP != q.SenderIP || p.TargetIP != p.SenderIP {
			t.Fatalf("%+v and %+v are no pair", p, q)
		}
		lines = append(lines, fmt.Sprintf("%gs %s %s %x", all[i].At.Sub(b.start).Seconds(), all[i].Interface, p.SenderIP, p.SenderMAC))
	}
	return lines
}

func (b *bench) wantSent(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	if diff := cmp.Diff(want, b.sent(t)); diff != "" {
		t.Fatalf("announced (-want +got):\n%s", diff)
	}
}

func TestAgainIsABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.mustSet(t, vip("192.0.2.1", "tp0"), vip("192.0.2.2", "tp0"))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		before := len(b.sent(t))
		b.Again([]netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.9")})
		b.mustSet(t, vip("192.0.2.1", "tp0"), vip("192.0.2.2", "tp0")) // does not undo it
		time.Sleep(10 * time.Second)
		synctest.Wait()
		want := []string{
			"10s tp0 192.0.2.2 020000000001", "11s tp0 192.0.2.2 020000000001",
			"12s tp0 192.0.2.2 020000000001", "15s tp0 192.0.2.2 020000000001",
		}
		if diff := cmp.Diff(want, b.sent(t)[before:]); diff != "" {
			t.Errorf("announced (-want +got):\n%s", diff)
		}
	})
}

func TestBurstAndRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.mustSet(t, vip("192.0.2.100", "tp0"))
		time.Sleep(126 * time.Second)
		b.mustSet(t, vip("192.0.2.100", "tp0"))
		b.wantSent(t,
			"0s tp0 192.0.2.100 020000000001", "1s tp0 192.0.2.100 020000000001", "2s tp0 192.0.2.100 020000000001",
			"5s tp0 192.0.2.100 020000000001", "65s tp0 192.0.2.100 020000000001", "125s tp0 192.0.2.100 020000000001",
		)
	})
}

func TestRemovedAddressStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.mustSet(t, vip("192.0.2.100", "tp0"))
		time.Sleep(1500 * time.Millisecond)
		b.mustSet(t)
		time.Sleep(time.Hour)
		b.wantSent(t, "0s tp0 192.0.2.100 020000000001", "1s tp0 192.0.2.100 020000000001")
		if b.fake.OpenPorts() != 0 {
			t.Errorf("%d ports are open", b.fake.OpenPorts())
		}
	})
}

func TestSecondAddressDoesNotRepeatTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.mustSet(t, vip("192.0.2.100", "tp0"))
		time.Sleep(10 * time.Second)
		b.mustSet(t, vip("192.0.2.100", "tp0"), vip("192.0.2.101", "tp1"))
		time.Sleep(1500 * time.Millisecond)
		b.wantSent(t,
			"0s tp0 192.0.2.100 020000000001", "1s tp0 192.0.2.100 020000000001", "2s tp0 192.0.2.100 020000000001",
			"5s tp0 192.0.2.100 020000000001", "10s tp1 192.0.2.101 020000000002", "11s tp1 192.0.2.101 020000000002",
		)
	})
}

func TestMovedAddressAndChangedMACAreNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.mustSet(t, vip("192.0.2.100", "tp0"))
		time.Sleep(500 * time.Millisecond)
		b.mustSet(t, vip("192.0.2.100", "tp1"))
		synctest.Wait()
		b.fake.SetInterface("tp1", announce.Interface{Index: 3, MAC: macX, Up: true})
		b.mustSet(t, vip("192.0.2.100", "tp1"))
		b.wantSent(t, "0s tp0 192.0.2.100 020000000001", "0.5s tp1 192.0.2.100 020000000002", "0.5s tp1 192.0.2.100 020000000099")
		if b.fake.OpenPorts() != 1 {
			t.Errorf("%d ports are open, want 1", b.fake.OpenPorts())
		}
	})
}

// TestFailedAnnouncementsDoNotCount: the interface is down for the whole time of a burst.
func TestFailedAnnouncementsDoNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.fake.SetInterface("tp0", announce.Interface{Index: 2, MAC: macA})
		b.mustSet(t, vip("192.0.2.100", "tp0"))
		time.Sleep(9500 * time.Millisecond)
		b.wantSent(t)
		b.fake.SetInterface("tp0", announce.Interface{Index: 2, MAC: macA, Up: true})
		time.Sleep(3 * time.Second)
		b.wantSent(t, "10s tp0 192.0.2.100 020000000001", "11s tp0 192.0.2.100 020000000001", "12s tp0 192.0.2.100 020000000001")
		if len(b.logs) != 2 {
			t.Errorf("logged %q, want one line for the failure and one for its end", b.logs)
		}
	})
}

func TestBadItemsDoNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		err := b.Set(t.Context(), []model.VirtualIP{vip("192.0.2.1", "absent"), vip("::ffff:192.0.2.9", "tp0"), vip("192.0.2.3", "tp0")})
		items, rest := model.ItemErrors(err)
		got := map[string]string{}
		for key, item := range items {
			got[key] = item.Reason
		}
		want := map[string]string{
			"imaging/radiology/192.0.2.1": announce.ReasonInterfaceNotFound, "imaging/radiology/::ffff:192.0.2.9": announce.ReasonKernelRefused,
		}
		if diff := cmp.Diff(want, got); diff != "" || rest != nil {
			t.Errorf("item errors (-want +got), rest %v:\n%s", rest, diff)
		}
		b.wantSent(t, "0s tp0 192.0.2.3 020000000001")
	})
}

func TestClosedAnnouncer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.mustSet(t, vip("192.0.2.100", "tp0"))
		synctest.Wait()
		for range 2 {
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Hour)
		if err := b.Set(t.Context(), nil); !errors.Is(err, announce.ErrClosed) {
			t.Errorf("Set after Close: %v", err)
		}
		b.wantSent(t, "0s tp0 192.0.2.100 020000000001")
		if b.fake.OpenPorts() != 0 {
			t.Errorf("%d ports are open", b.fake.OpenPorts())
		}
	})
}

func TestEndedContextChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.Set(ctx, []model.VirtualIP{vip("192.0.2.100", "tp0")}); err == nil {
			t.Error("no error")
		}
		time.Sleep(time.Minute)
		b.wantSent(t)
	})
}

// TestIPv6IsAdvertised follows the same times as IPv4 on a port of its own.
func TestIPv6IsAdvertised(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		both := []model.VirtualIP{vip("2001:db8::100", "tp0"), vip("192.0.2.100", "tp0")}
		b.mustSet(t, both...)
		time.Sleep(1500 * time.Millisecond)
		b.fake.SetInterface("tp0", announce.Interface{Index: 2, MAC: macA, Up: true, Router: true})
		b.mustSet(t, both...)
		time.Sleep(1500 * time.Millisecond)
		want := announce.Neighbor{
			Type: announce.Advertisement, Source: askedIPv6, Destination: netip.MustParseAddr("ff02::1"), Target: askedIPv6,
			LinkLayer: macA, Override: true,
		}
		var times []string
		for _, s := range b.fake.Sent() {
			if s.Kind != announce.NDP {
				continue
			}
			times = append(times, s.At.Sub(b.start).String())
			want.Router = s.At.Sub(b.start) > 1500*time.Millisecond
			if diff := cmp.Diff(want, s.Neighbor, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" || s.To != (announce.MAC{0x33, 0x33, 0, 0, 0, 1}) {
				t.Errorf("advertised to %x (-want +got):\n%s", s.To, diff)
			}
		}
		if diff := cmp.Diff([]string{"0s", "1s", "2s"}, times); diff != "" {
			t.Errorf("times (-want +got):\n%s", diff)
		}
		if len(b.fake.Sent()) != 9 || b.fake.OpenPorts() != 2 {
			t.Errorf("%d packets through %d ports, want 9 through 2", len(b.fake.Sent()), b.fake.OpenPorts())
		}
		b.mustSet(t, both[1])
		if b.fake.OpenPorts() != 1 {
			t.Errorf("%d ports are open, want 1", b.fake.OpenPorts())
		}
	})
}
