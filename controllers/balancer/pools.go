package balancer

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/manager"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// lookAtPools is how often MetalLB's pools are read. They cannot be watched like other kinds: a
// cluster need not know them, and may get to know them at any time.
const lookAtPools = 5 * time.Second

// mostPools bounds what is read.
const mostPools = 500

// Pools follows MetalLB's IPAddressPools (metallb.io/v1beta1), from which Services get addresses by
// themselves. Where there are none, or they may not be read, it knows none.
type Pools struct {
	// Reader asks the API server.
	Reader client.Reader
	Log    logr.Logger

	changed chan event.GenericEvent
	mu      sync.Mutex
	known   []poolRange
}

// poolRange is a range of addresses, both ends included, as it stands in a pool.
type poolRange struct {
	name, text  string // namespace/name of the pool, range as written
	first, last netip.Addr
}

var _ manager.Runnable = (*Pools)(nil)

// NewPools knows nothing yet; Start makes it look.
func NewPools(reader client.Reader, log logr.Logger) *Pools {
	return &Pools{Reader: reader, Log: log, changed: make(chan event.GenericEvent, 1)}
}

// Start implements manager.Runnable.
func (p *Pools) Start(ctx context.Context) error {
	tick := time.NewTicker(lookAtPools)
	defer tick.Stop()
	for {
		p.look(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// look reads the pools; what cannot be read for a moment stays as it was.
func (p *Pools) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookAtPools)
	defer cancel()
	list := &unstructured.UnstructuredList{}
	list.SetGroupVersionKind(schema.GroupVersionKind{Group: "metallb.io", Version: "v1beta1", Kind: "IPAddressPoolList"})
	err := p.Reader.List(ctx, list, client.Limit(mostPools))
	switch {
	case err == nil:
	case meta.IsNoMatchError(err), apierrors.IsNotFound(err), apierrors.IsForbidden(err):
		list.Items = nil
	default:
		p.Log.V(1).Info("MetalLB's address pools cannot be read now", "cause", err.Error())
		return
	}
	var next []poolRange
	for i := range list.Items {
		next = append(next, rangesOf(&list.Items[i])...)
	}
	p.mu.Lock()
	same := slices.Equal(p.known, next)
	p.known = next
	p.mu.Unlock()
	if same {
		return
	}
	select {
	case p.changed <- event.GenericEvent{Object: &v1alpha1.TruePACSBalancer{}}:
	default:
	}
}

// find returns the first range that has an address.
func (p *Pools) find(a netip.Addr) (poolRange, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := slices.IndexFunc(p.known, func(r poolRange) bool {
		return r.first.BitLen() == a.BitLen() && r.first.Compare(a) <= 0 && a.Compare(r.last) <= 0
	})
	if at < 0 {
		return poolRange{}, false
	}
	return p.known[at], true
}

// rangesOf are the ranges of a pool. From one with autoAssign: false a Service gets an address only
// if it asks for it, and then it shows it.
func rangesOf(pool *unstructured.Unstructured) []poolRange {
	if auto, set, err := unstructured.NestedBool(pool.Object, "spec", "autoAssign"); err == nil && set && !auto {
		return nil
	}
	texts, _, err := unstructured.NestedStringSlice(pool.Object, "spec", "addresses")
	if err != nil {
		return nil
	}
	var out []poolRange
	for _, text := range texts {
		if first, last, ok := parseRange(text); ok {
			out = append(out, poolRange{pool.GetNamespace() + "/" + pool.GetName(), strings.TrimSpace(text), first, last})
		}
	}
	return out
}

// parseRange reads a network in CIDR form or FIRST-LAST.
func parseRange(text string) (first, last netip.Addr, ok bool) {
	text = strings.TrimSpace(text)
	if p, err := netip.ParsePrefix(text); err == nil {
		p = p.Masked()
		return p.Addr(), lastOf(p), true
	}
	a, b, _ := strings.Cut(text, "-")
	first, err1 := netip.ParseAddr(strings.TrimSpace(a))
	last, err2 := netip.ParseAddr(strings.TrimSpace(b))
	ok = err1 == nil && err2 == nil && first.BitLen() == last.BitLen() && first.Compare(last) <= 0
	return first, last, ok
}

// lastOf is the highest address of a network.
func lastOf(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < 8*len(b); i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	last, _ := netip.AddrFromSlice(b)
	return last
}
