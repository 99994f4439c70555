package announce_test

import (
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/model"
)

// claiming has claims on a network in memory; woken counts.
type claiming struct {
	*announce.Claims
	network *announce.Fake
	woken   atomic.Int32
}

func newClaims(t *testing.T) *claiming {
	t.Helper()
	c := &claiming{network: fakeNetwork()}
	c.Claims = announce.NewClaims(announce.ClaimsConfig{
		Prober: announce.Prober{Network: c.network}, Wake: func() { c.woken.Add(1) },
	})
	t.Cleanup(func() {
		if err := c.Close(); err != nil || c.network.OpenPorts() != 0 {
			t.Errorf("closed with %v, %d ports are open", err, c.network.OpenPorts())
		}
	})
	return c
}

// refused are the reasons by address.
func (c *claiming) refused(t *testing.T, all ...model.VirtualIP) map[string]*model.ItemError {
	t.Helper()
	items, rest := model.ItemErrors(c.Ask(all))
	if rest != nil {
		t.Fatal(rest)
	}
	return items
}

func reasonOf(e *model.ItemError) string {
	if e == nil {
		return ""
	}
	return e.Reason
}

// pass lets time go by until all that is due then is done.
func pass(d time.Duration) { time.Sleep(d); synctest.Wait() }

func TestFreeAddressIsTakenOnceNobodyAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, main := newClaims(t), vip("192.0.2.100", "tp0")
		six := vip("2001:db8::100", "tp1")
		begin := time.Now()
		if got := c.refused(t, main, six); reasonOf(got[main.Key]) != announce.ReasonPending || reasonOf(got[six.Key]) != announce.ReasonPending || time.Since(begin) != 0 {
			t.Fatalf("%v after %s, want that it is asked, at once", got, time.Since(begin))
		}
		pass(1499 * time.Millisecond)
		if c.woken.Load() != 0 || len(c.refused(t, main, six)) != 2 {
			t.Errorf("woken %d times before the answer can be there", c.woken.Load())
		}
		pass(2 * time.Millisecond)
		if got := c.refused(t, main, six); len(got) > 0 || c.woken.Load() != 2 {
			t.Errorf("%v, woken %d times", got, c.woken.Load())
		}
		sent := c.network.Sent()
		if len(sent) != 6 {
			t.Errorf("%d questions", len(sent))
		}
		for _, s := range sent {
			if s.Kind == announce.ARP && s.Packet.SenderIP != netip.IPv4Unspecified() || s.Kind == announce.NDP && !s.Neighbor.Source.IsUnspecified() {
				t.Errorf("claims the address: %+v", s)
			}
		}
		c.refused(t) // it is held now, and lost later: nobody knows who has it then
		if got := c.refused(t, main); reasonOf(got[main.Key]) != announce.ReasonPending {
			t.Errorf("%v, want that it is asked again", got)
		}
	})
}

func TestAddressOfAnotherHostWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, main, other := newClaims(t), vip("192.0.2.100", "tp0"), vip("192.0.2.101", "tp0")
		c.network.AddHost("tp0", main.Address, macX)
		c.refused(t, main, other)
		for range 20 {
			pass(time.Second)
			got := c.refused(t, main, other)[main.Key]
			if reasonOf(got) != announce.ReasonAddressOwnedByOther || !strings.Contains(got.Error(), "02:00:00:00:00:99") || !strings.Contains(got.Error(), "192.0.2.100") {
				t.Fatalf("%v, want the other host's MAC address", got)
			}
		}
		if got := c.refused(t, main, other); got[other.Key] != nil {
			t.Errorf("a free address waits for another one: %v", got)
		}
		asked := 0
		for _, s := range c.network.Sent() {
			if s.Packet.TargetIP == main.Address {
				asked++
			}
		}
		if asked < 4 || asked > 8 {
			t.Errorf("asked %d times in 20 s, want every 3 to 4 s", asked)
		}
		woken := c.woken.Load()
		c.network.RemoveHosts("tp0", main.Address)
		pass(6 * time.Second)
		if got := c.refused(t, main, other); len(got) > 0 || c.woken.Load() == woken {
			t.Errorf("%v after the other host is gone, woken %d times", got, c.woken.Load()-woken)
		}
	})
}

func TestForgottenAddressIsNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, main := newClaims(t), vip("192.0.2.100", "tp0")
		c.network.AddHost("tp0", main.Address, macX)
		c.refused(t, main)
		pass(time.Second)
		c.refused(t)
		synctest.Wait()
		asked := len(c.network.Sent())
		pass(time.Minute)
		if got := len(c.network.Sent()); got != asked || c.network.OpenPorts() != 0 {
			t.Errorf("%d questions after the address was given up, %d open ports", got-asked, c.network.OpenPorts())
		}
	})
}

// TestAddressThatCannotBeAskedForIsTaken: clients are not left without service for that.
func TestAddressThatCannotBeAskedForIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, main := newClaims(t), vip("192.0.2.100", "tp0")
		c.network.SetInterface("tp0", announce.Interface{Index: 2, MAC: macA}) // down
		c.refused(t, main)
		pass(400 * time.Millisecond)
		if got := c.refused(t, main); reasonOf(got[main.Key]) != announce.ReasonPending {
			t.Errorf("%v after one question that failed", got)
		}
		pass(2 * time.Second)
		if got := c.refused(t, main); len(got) > 0 {
			t.Errorf("%v", got)
		}
	})
}
