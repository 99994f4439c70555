package announce_test

import (
	"context"
	"errors"
	"fmt"
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
			fake.Inject("tp0", macX, []byte("rubbish"))
			fake.Inject("tp0", macX, announce.Packet{Operation: announce.Reply, SenderMAC: macX, SenderIP: netip.MustParseAddr("192.0.2.7"), TargetIP: asked}.Append(nil))
			fake.Inject("tp0", macX, announce.Packet{Operation: announce.Request, SenderMAC: macX, SenderIP: asked, TargetIP: asked}.Append(nil))
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
	if _, err := prober.Probe(t.Context(), "tp0", netip.MustParseAddr("::ffff:192.0.2.1")); err == nil {
		t.Error("an IPv4 address in IPv6 form was probed for")
	}
}

var askedIPv6 = netip.MustParseAddr("2001:db8::100")

// addressed is the fake network with addresses of the host: its own and the asked ones.
func addressed() *announce.Fake {
	fake := &announce.Fake{}
	at := announce.Interface{Index: 2, MAC: macA, Up: true}
	for _, a := range []string{"192.0.2.100/32", "2001:db8::100/128", "198.51.100.2/24", "192.0.2.2/24", "2001:db8::2/64", "fe80::2/64"} {
		at.Addresses = append(at.Addresses, netip.MustParsePrefix(a))
	}
	fake.SetInterface("tp0", at)
	fake.SetInterface("tp1", announce.Interface{Index: 3, MAC: macB, Up: true})
	return fake
}

// TestHoldersNamesAllOthers: of a host with the address on its other interface too, two servers
// and another director that probes, the servers are named.
func TestHoldersNamesAllOthers(t *testing.T) {
	prober := announce.Packet{Operation: announce.Request, SenderMAC: macC, SenderIP: netip.IPv4Unspecified(), TargetIP: asked}
	proberIPv6 := announce.Neighbor{
		Type: announce.Solicitation, Source: netip.IPv6Unspecified(), Target: askedIPv6, Destination: netip.MustParseAddr("ff02::1:ff00:100"),
	}
	for address, noise := range map[netip.Addr][]byte{asked: prober.Append(nil), askedIPv6: proberIPv6.Append(nil)} {
		t.Run(address.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := addressed()
				for _, mac := range []announce.MAC{macX, macB, macD, macX} {
					fake.AddHost("tp0", address, mac)
				}
				go func() {
					time.Sleep(100 * time.Millisecond)
					fake.Inject("tp0", macC, noise)
				}()
				begin := time.Now()
				macs, err := announce.Prober{Network: fake}.Holders(t.Context(), "tp0", address)
				if err != nil || fmt.Sprint(macs) != "[02:00:00:00:00:44 02:00:00:00:00:99]" || time.Since(begin) != 1500*time.Millisecond {
					t.Errorf("got %v, %v after %s", macs, err, time.Since(begin))
				}
				wantQuestions(t, fake.Sent(), address)
			})
		})
	}
}

// wantQuestions: who watches speaks as himself, never as the address.
func wantQuestions(t *testing.T, sent []announce.Sent, address netip.Addr) {
	t.Helper()
	for _, s := range sent {
		switch {
		case s.Kind == announce.ARP && (s.Packet.SenderIP != netip.MustParseAddr("192.0.2.2") || s.To != broadcast):
			t.Errorf("asked with %+v to %x", s.Packet, s.To)
		case s.Kind == announce.NDP && (s.Neighbor.Source != netip.MustParseAddr("fe80::2") || s.Neighbor.LinkLayer != macA):
			t.Errorf("asked with %+v", s.Neighbor)
		case s.Kind == announce.NDP && (s.To != announce.MAC{0x33, 0x33, 0xff, 0, 1, 0}):
			t.Errorf("asked %x, want the group of %s", s.To, address)
		}
	}
	if len(sent) != 3 {
		t.Errorf("%d questions, want 3", len(sent))
	}
}

func TestHoldersOfNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		macs, err := announce.Prober{Network: addressed()}.Holders(t.Context(), "tp0", asked)
		if err != nil || macs == nil || len(macs) != 0 {
			t.Errorf("got %v, %v, want nobody", macs, err)
		}
	})
}

func TestResolve(t *testing.T) {
	for _, address := range []netip.Addr{asked, askedIPv6} {
		synctest.Test(t, func(t *testing.T) {
			fake := addressed()
			prober := announce.Prober{Network: fake}
			if _, err := prober.Resolve(t.Context(), "tp0", address); !errors.Is(err, announce.ErrNoAnswer) {
				t.Errorf("%s that nobody has: %v", address, err)
			}
			fake.AddHost("tp0", address, macX)
			begin := time.Now()
			mac, err := prober.Resolve(t.Context(), "tp0", address)
			if err != nil || mac.String() != "02:00:00:00:00:99" || time.Since(begin) != 0 {
				t.Errorf("%s: got %v, %v after %s", address, mac, err, time.Since(begin))
			}
		})
	}
}

// TestProbeOfIPv6 hears an owner's answer to all nodes and a host that is about to take it.
func TestProbeOfIPv6(t *testing.T) {
	other := announce.Neighbor{
		Type: announce.Solicitation, Source: netip.IPv6Unspecified(), Target: askedIPv6, Destination: netip.MustParseAddr("ff02::1:ff00:100"),
	}
	tests := map[string]struct {
		prepare func(*announce.Fake)
		want    string
	}{
		"owner": {func(f *announce.Fake) { f.AddHost("tp0", askedIPv6, macX) }, "02:00:00:00:00:99"},
		"another": {func(f *announce.Fake) {
			time.AfterFunc(time.Second, func() { f.Inject("tp0", macX, other.Append(nil)) })
		}, "02:00:00:00:00:99"},
		"self": {func(f *announce.Fake) {
			time.AfterFunc(time.Second, func() { f.Inject("tp0", macB, other.Append(nil)) })
		}, ""},
		"nobody": {func(*announce.Fake) {}, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fake := addressed()
				tc.prepare(fake)
				mac, err := announce.Prober{Network: fake}.Probe(t.Context(), "tp0", askedIPv6)
				if err != nil || mac.String() != tc.want {
					t.Errorf("got %v, %v, want %q", mac, err, tc.want)
				}
				if got := fake.Sent()[0].Neighbor; got.Source != netip.IPv6Unspecified() || got.LinkLayer != (announce.MAC{}) {
					t.Errorf("sent %+v, want a question that claims nothing", got)
				}
			})
		})
	}
}
