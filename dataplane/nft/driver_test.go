package nft_test

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"

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
			err := nft.New(nft.Config{Kernel: fake}).Set(t.Context(), services(dicom, web))
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
	err := nft.New(nft.Config{Kernel: forgetful{&nft.Fake{}}}).Set(t.Context(), services(web))
	if err == nil || !strings.Contains(err.Error(), "nft monitor") {
		t.Errorf("got %v", err)
	}
}

func TestRefusedRemovalOfTheTable(t *testing.T) {
	fake := &nft.Fake{}
	driver := nft.New(nft.Config{Kernel: fake})
	if err := driver.Set(t.Context(), services(web)); err != nil {
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
	if err := nft.New(nft.Config{Kernel: k}).Set(ctx, services(web)); err == nil {
		t.Error("no error")
	}
	wantMarks(t, k)
}
