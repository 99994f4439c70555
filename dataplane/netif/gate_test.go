package netif_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
)

// gate refuses addresses and keeps what it was asked.
type gate struct {
	refused map[string]bool
	err     error
	asked   [][]string
}

func (g *gate) Ask(all []model.VirtualIP) error {
	var names []string
	errs := []error{g.err}
	for _, v := range all {
		names = append(names, v.Address.String()+"%"+v.Interface)
		if g.refused[v.Address.String()] {
			errs = append(errs, &model.ItemError{Key: v.Key, Reason: "AddressOwnedByOther", Err: errors.New("02:00:00:00:00:99")})
		}
	}
	g.asked = append(g.asked, names)
	return errors.Join(errs...)
}

// TestGateDecidesAboutNewAddresses: the host takes nothing that is refused, keeps what it has without
// asking, and asks again when it has lost an address.
func TestGateDecidesAboutNewAddresses(t *testing.T) {
	h := fakeHost(t, false)
	g := &gate{refused: map[string]bool{"192.0.2.1": true}}
	set := func(all ...model.VirtualIP) map[string]*model.ItemError {
		t.Helper()
		items, rest := model.ItemErrors(netif.NewGated(h.kernel, g).Set(t.Context(), all))
		if rest != nil {
			t.Fatal(rest)
		}
		return items
	}
	first, second := vip("192.0.2.1", "tp0"), vip("192.0.2.2", "tp0")
	items := set(first, second)
	if items[first.Key] == nil || items[first.Key].Reason != "AddressOwnedByOther" || len(items) != 1 {
		t.Errorf("got %v", items)
	}
	wantAddresses(t, h, "tp0", "192.0.2.2/32")
	g.refused = map[string]bool{"192.0.2.2": true} // which it holds: after a restart nothing is asked
	if items := set(first, second); len(items) > 0 {
		t.Errorf("got %v", items)
	}
	wantAddresses(t, h, "tp0", "192.0.2.1/32", "192.0.2.2/32")
	set(first, second)
	want := [][]string{{"192.0.2.1%tp0", "192.0.2.2%tp0"}, {"192.0.2.1%tp0"}, nil}
	if !slices.EqualFunc(g.asked, want, slices.Equal) {
		t.Errorf("asked %q, want %q", g.asked, want)
	}
	g.err = errors.New("closed")
	set(first, second)
	if items := set(first, second, vip("192.0.2.3", "tp0")); len(items) != 1 {
		t.Errorf("a gate that does not work lets through: %v", items)
	}
	wantAddresses(t, h, "tp0", "192.0.2.1/32", "192.0.2.2/32")
}

// TestMovedAddressIsNotAskedFor: it is this host's already, and clients wait.
func TestMovedAddressIsNotAskedFor(t *testing.T) {
	h := fakeHost(t, false)
	h.kernel.Kernel.(*netif.Fake).AddLink(netif.Link{Name: "tp7", Up: true})
	g := &gate{refused: map[string]bool{}}
	driver := netif.NewGated(h.kernel, g)
	if err := driver.Set(t.Context(), []model.VirtualIP{vip("192.0.2.1", "tp0")}); err != nil {
		t.Fatal(err)
	}
	g.refused["192.0.2.1"] = true
	if err := driver.Set(t.Context(), []model.VirtualIP{vip("192.0.2.1", "tp7")}); err != nil || len(g.asked[1]) > 0 {
		t.Errorf("%v, asked %q", err, g.asked)
	}
	wantAddresses(t, h, "tp7", "192.0.2.1/32")
	wantAddresses(t, h, "tp0")
}
