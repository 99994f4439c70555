package nft_test

import (
	"testing"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/nft"
)

// BenchmarkNothingChanged is a pass of a director with 10,000 services that changes nothing.
func BenchmarkNothingChanged(b *testing.B) {
	netnstest.Enter(b)
	driver := nft.New(nft.Config{Kernel: nft.Netfilter{}})
	passes(b, func() *nft.Driver { return driver })
}

// BenchmarkNothingChangedUnknown is the same by a driver that does not know the table, as while others
// change their rules.
func BenchmarkNothingChangedUnknown(b *testing.B) {
	netnstest.Enter(b)
	passes(b, func() *nft.Driver { return nft.New(nft.Config{Kernel: nft.Netfilter{}}) })
}

func passes(b *testing.B, driver func() *nft.Driver) {
	b.Helper()
	desired := services(manyServices(10_000)...)
	for _, s := range desired.Services {
		desired.Guarded = append(desired.Guarded, s.Addresses...)
	}
	if err := driver().Set(b.Context(), desired); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := driver().Set(b.Context(), desired); err != nil {
			b.Fatal(err)
		}
	}
}
