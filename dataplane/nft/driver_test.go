package nft_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/nft"
)

func TestErrorsSayWhatToDo(t *testing.T) {
	tests := map[string]struct {
		err        error
		wantReason string
		want       string
	}{
		"no right":   {syscall.EPERM, nft.ReasonKernelRefused, "NET_ADMIN"},
		"no module":  {syscall.EOPNOTSUPP, nft.ReasonModuleMissing, "modprobe nf_tables"},
		"no family":  {syscall.EAFNOSUPPORT, nft.ReasonModuleMissing, "inet family"},
		"no netlink": {syscall.EPROTONOSUPPORT, nft.ReasonModuleMissing, "modprobe"},
		"no memory":  {syscall.ENOBUFS, nft.ReasonKernelRefused, "out of memory"},
		"too long":   {syscall.EMSGSIZE, nft.ReasonKernelRefused, "larger than a netlink message"},
		"no answer":  {os.ErrDeadlineExceeded, nft.ReasonKernelRefused, "did not answer in time"},
		"anything":   {syscall.EINVAL, nft.ReasonKernelRefused, "write table inet truepacs: invalid argument"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			fake := &nft.Fake{Refuse: func(string, nft.Transaction) error { return tc.err }}
			err := nft.New(nft.Config{Kernel: fake}).Set(t.Context(), []model.VirtualService{dicom, web})
			items, rest := model.ItemErrors(err)
			if len(items) != 2 || rest != nil {
				t.Fatalf("got %v and %v, want an error for each service", items, rest)
			}
			item := items[web.Key]
			if item.Reason != tc.wantReason || !strings.Contains(item.Error(), tc.want) {
				t.Errorf("got %q, %v, want %q, %q", item.Reason, item, tc.wantReason, tc.want)
			}
		})
	}
}

// TestRaceIsTriedAgain: somebody adds our element between reading and writing.
func TestRaceIsTriedAgain(t *testing.T) {
	fake := &nft.Fake{}
	refused := false
	fake.Refuse = func(string, nft.Transaction) error {
		if refused {
			return nil
		}
		refused = true
		return syscall.EEXIST
	}
	mustSet(t, &counting{Kernel: fake}, web)
	if fake.Writes() != 2 {
		t.Errorf("%d transactions, want 2", fake.Writes())
	}
}

// forgetful accepts transactions and does nothing.
type forgetful struct{ nft.Kernel }

func (forgetful) Apply(context.Context, string, nft.Transaction) error { return nil }

func TestUndoneTransactionIsNoticed(t *testing.T) {
	err := nft.New(nft.Config{Kernel: forgetful{&nft.Fake{}}}).Set(t.Context(), []model.VirtualService{web})
	if err == nil || !strings.Contains(err.Error(), "nft monitor") {
		t.Errorf("got %v", err)
	}
}

func TestRefusedRemovalOfTheTable(t *testing.T) {
	fake := &nft.Fake{}
	driver := nft.New(nft.Config{Kernel: fake})
	if err := driver.Set(t.Context(), []model.VirtualService{web}); err != nil {
		t.Fatal(err)
	}
	fake.Refuse = func(string, nft.Transaction) error { return syscall.EPERM }
	if err := driver.Delete(t.Context()); err == nil || !strings.Contains(err.Error(), "NET_ADMIN") {
		t.Errorf("got %v", err)
	}
}

func TestEndedContextWritesNothing(t *testing.T) {
	k := realKernel(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := nft.New(nft.Config{Kernel: k}).Set(ctx, []model.VirtualService{web}); err == nil {
		t.Error("no error")
	}
	wantMarks(t, k, nil)
}

// TestAnyStateConvergesInOneCall starts from any elements, in an intact or altered table or none.
func TestAnyStateConvergesInOneCall(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fake := &nft.Fake{}
		element := rapid.Custom(func(rt *rapid.T) nft.Element {
			return nft.Element{Match: nft.Match{
				Address: netip.AddrFrom4([4]byte{192, 0, 2, byte(rapid.IntRange(1, 3).Draw(rt, "octet"))}), Protocol: 6,
				Port: uint16(rapid.IntRange(1, 5).Draw(rt, "port")),
			}, Mark: uint32(rapid.IntRange(1, 3).Draw(rt, "mark"))}
		})
		there := rapid.SliceOfNDistinct(element, 0, 8, func(e nft.Element) nft.Match { return e.Match }).Draw(rt, "there")
		if len(there) > 0 {
			if err := fake.Apply(rt.Context(), "truepacs", nft.Transaction{Rebuild: true, Add: there}); err != nil {
				rt.Fatal(err)
			}
			if rapid.Bool().Draw(rt, "altered") {
				fake.Damage("truepacs")
			}
		}
		wanted := rapid.SliceOfNDistinct(element, 0, 8, func(e nft.Element) nft.Match { return e.Match }).Draw(rt, "wanted")
		var all []model.VirtualService
		want := map[nft.Match]uint32{}
		for i, e := range wanted {
			all = append(all, service(fmt.Sprint(i), e.Mark, []string{e.Address.String()}, e.Port))
			want[e.Match] = e.Mark
		}
		if len(want) == 0 {
			want = nil
		}
		driver := nft.New(nft.Config{Kernel: fake})
		if err := driver.Set(rt.Context(), all); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(want, fake.Marks("truepacs"), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
			rt.Fatalf("after one call (-want +got):\n%s", diff)
		}
		before := fake.Writes()
		if err := driver.Set(rt.Context(), all); err != nil || fake.Writes() != before {
			rt.Fatalf("second call: %v, %d writes", err, fake.Writes()-before)
		}
	})
}
