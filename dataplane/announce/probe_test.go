package announce_test

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/truepacs/balancer/dataplane/announce"
)

var asked = netip.MustParseAddr("192.0.2.100")

func fakeNetwork() *announce.Fake {
	fake := &announce.Fake{}
	fake.SetInterface("tp0", announce.Interface{Index: 2, MAC: macA, Up: true})
	fake.SetInterface("tp1", announce.Interface{Index: 3, MAC: macB, Up: true})
	return fake
}

func TestProbeFindsTheOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fakeNetwork()
		fake.AddHost("tp0", asked, macX)
		begin := time.Now()
		mac, err := announce.Prober{Network: fake}.Probe(t.Context(), "tp0", asked)
		if err != nil || mac.String() != "02:00:00:00:00:99" || time.Since(begin) != 0 {
			t.Errorf("got %v, %v after %s", mac, err, time.Since(begin))
		}
	})
}

func TestProbeFindsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fakeNetwork()
		fake.AddHost("tp0", asked, macB) // our own other interface
		begin := time.Now()
		mac, err := announce.Prober{Network: fake}.Probe(t.Context(), "tp0", asked)
		if err != nil || mac != nil || time.Since(begin) != 1500*time.Millisecond {
			t.Errorf("got %v, %v after %s, want nobody after 1.5 s", mac, err, time.Since(begin))
		}
		if got := fake.Sent(); len(got) != 3 || got[0].Packet.SenderIP != netip.IPv4Unspecified() {
			t.Errorf("sent %+v, want three probes that claim nothing", got)
		}
		if fake.OpenPorts() != 0 {
			t.Errorf("%d ports are open", fake.OpenPorts())
		}
	})
}

// TestProbeHearsLateAndAmongNoise: the other speaks after 700 ms, unasked, behind rubbish.
func TestProbeHearsLateAndAmongNoise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := fakeNetwork()
		go func() {
			time.Sleep(700 * time.Millisecond)
			fake.Inject("tp0", []byte("rubbish"))
			fake.Inject("tp0", announce.Packet{Operation: announce.Reply, SenderMAC: macX, SenderIP: netip.MustParseAddr("192.0.2.7"), TargetIP: asked}.Append(nil))
			fake.Inject("tp0", announce.Packet{Operation: announce.Request, SenderMAC: macX, SenderIP: asked, TargetIP: asked}.Append(nil))
		}()
		begin := time.Now()
		mac, err := announce.Prober{Network: fake}.Probe(t.Context(), "tp0", asked)
		if err != nil || mac.String() != "02:00:00:00:00:99" || time.Since(begin) != 700*time.Millisecond {
			t.Errorf("got %v, %v after %s", mac, err, time.Since(begin))
		}
	})
}

func TestProbeEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		begin := time.Now()
		_, err := announce.Prober{Network: fakeNetwork()}.Probe(ctx, "tp0", asked)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 100*time.Millisecond {
			t.Errorf("got %v after %s", err, time.Since(begin))
		}
	})
}

func TestProbeRefuses(t *testing.T) {
	prober := announce.Prober{Network: fakeNetwork()}
	if _, err := prober.Probe(t.Context(), "absent", asked); !errors.Is(err, announce.ErrNoInterface) {
		t.Errorf("absent interface: %v", err)
	}
	if _, err := prober.Probe(t.Context(), "tp0", netip.MustParseAddr("2001:db8::1")); err == nil {
		t.Error("IPv6 was probed for")
	}
}
