package nft

import (
	"reflect"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Shape is which parts a table has. A host gets no part that it does not need: each asks
// something of the kernel, and masquerading makes it track the connections of the whole host.
type Shape struct {
	// Director: packets are marked, and connections reset.
	Director bool
	// Masquerade: packets of SNAT services get a source address of the host.
	Masquerade bool
	// Gateway: servers of NAT services are not told of shorter ways to their clients.
	Gateway bool
	// Guard: only declared ports of guarded addresses answer.
	Guard bool
	// Lax, with Guard: the kernel cannot look up sockets, so of TCP only first packets are guarded.
	Lax bool
	// Clamp4 and Clamp6, if not 0: larger segment sizes are lowered to this.
	Clamp4, Clamp6 uint16
}

// Priorities within a hook. IPVS takes packets at NF_INET_LOCAL_IN with 98 and 99 (NF_IP_PRI_NAT_SRC
// less 2 and 1, net/netfilter/ipvs/ip_vs_core.c): what claims to come from this host, resets and the
// last look at marks come before, the guard after.
const (
	priorityOwnSource = -1
	priorityReset     = 0
	priorityMarks     = 97
	priorityGuard     = 150
)

func (s Shape) clamp(f family) uint16 {
	if f.suffix == inet4.suffix {
		return s.Clamp4
	}
	return s.Clamp6
}

// Names of the chains that count.
const (
	chainReset      = "disconnect" // the nft program has a word "reset"
	chainMasquerade = "postrouting"
	chainGuard      = "guard"
)

// chainSpec is a chain with its rules.
type chainSpec struct {
	chain *nftables.Chain
	rules [][]expr.Any
}

func tableOf(name string) *nftables.Table {
	return &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
}

// chains returns what a table of this shape has. Whatever exempts packets comes before the
// rules that it exempts from.
func (s Shape) chains(table *nftables.Table) []chainSpec {
	var all []chainSpec
	add := func(name string, kind nftables.ChainType, hook *nftables.ChainHook, priority int32, rules [][]expr.Any) {
		policy := nftables.ChainPolicyAccept
		at := nftables.ChainPriority(priority)
		all = append(all, chainSpec{&nftables.Chain{
			Table: table, Name: name, Type: kind, Hooknum: hook, Priority: &at, Policy: &policy,
		}, rules})
	}
	raw, mangle := int32(*nftables.ChainPriorityRaw), int32(*nftables.ChainPriorityMangle)
	if s.Director {
		add("raw", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, raw, append(untrackRules(destinationParts()), throughRules()...))
		add("rawoutput", nftables.ChainTypeFilter, nftables.ChainHookOutput, raw, untrackRules(sourceParts()))
		add("prerouting", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, mangle, markRules())
		add(chainReset, nftables.ChainTypeFilter, nftables.ChainHookInput, priorityReset, resetRules())
		add("marks", nftables.ChainTypeFilter, nftables.ChainHookInput, priorityMarks, unmarkedRules())
	}
	if s.Masquerade {
		source := int32(*nftables.ChainPriorityNATSource)
		add(chainMasquerade, nftables.ChainTypeNAT, nftables.ChainHookPostrouting, source, masqueradeRules())
	}
	if s.Gateway {
		add("redirects", nftables.ChainTypeFilter, nftables.ChainHookOutput, 0, redirectRules())
	}
	if s.Guard {
		add("ownsource", nftables.ChainTypeFilter, nftables.ChainHookInput, priorityOwnSource, ownSourceRules())
		add(chainGuard, nftables.ChainTypeFilter, nftables.ChainHookInput, priorityGuard, s.guardRules())
		add("ask", nftables.ChainTypeFilter, nftables.ChainHookOutput, 0, askRules())
	}
	for _, f := range families() {
		if size := s.clamp(f); size > 0 {
			add(setClamp+f.suffix, nftables.ChainTypeFilter, nftables.ChainHookOutput, mangle, clampRules(f, size))
		}
	}
	return all
}

// sameChain tells whether a chain is hooked in as ours.
func sameChain(got, want *nftables.Chain) bool {
	return got.Name == want.Name && got.Type == want.Type &&
		same(got.Hooknum, want.Hooknum) && same(got.Priority, want.Priority) && same(got.Policy, want.Policy)
}

func same[T comparable](a, b *T) bool { return a != nil && b != nil && *a == *b }

// sameSet tells whether a set is like ours. Of the types the kernel keeps only numbers for the
// nft program; their lengths are what counts.
func sameSet(got, want *nftables.Set) bool {
	return got.Name == want.Name && got.IsMap == want.IsMap && got.Interval == want.Interval &&
		got.Concatenation == want.Concatenation && got.HasTimeout == want.HasTimeout && got.Timeout == 0 &&
		got.Dynamic == want.Dynamic && !got.Constant && got.Size == want.Size &&
		got.KeyType.GetNFTMagic() == want.KeyType.GetNFTMagic() && got.KeyType.Bytes == want.KeyType.Bytes &&
		got.DataType.GetNFTMagic() == want.DataType.GetNFTMagic() && got.DataType.Bytes == want.DataType.Bytes
}

// sameRules tells whether the rules of a chain are ours, in their order, but for what they ask of
// sockets, see sameLookups.
func sameRules(got []*nftables.Rule, want [][]expr.Any) bool {
	return slices.EqualFunc(got, want, func(rule *nftables.Rule, expressions []expr.Any) bool {
		for _, e := range rule.Exprs {
			forget(e)
		}
		read := slices.DeleteFunc(slices.Clone(expressions), func(e expr.Any) bool { _, ok := e.(*expr.Socket); return ok })
		return reflect.DeepEqual(rule.Exprs, read)
	})
}

// forget removes what the kernel adds to an expression.
func forget(e expr.Any) {
	switch e := e.(type) {
	case *expr.Lookup:
		e.SetID = 0
	case *expr.Dynset:
		e.SetID = 0
	case *expr.Counter:
		*e = expr.Counter{}
	}
}

// parseElement returns nil if the element is none of ours.
func parseElement(s *nftables.Set, e nftables.SetElement) *Element {
	end := uint32(0)
	if s.Interval {
		end = s.KeyType.Bytes
	}
	if s.Counter && e.Counter == nil { // a version before made the table
		return nil
	}
	if uint32(len(e.Key)) != s.KeyType.Bytes || uint32(len(e.KeyEnd)) != end || uint32(len(e.Val)) != s.DataType.Bytes {
		return nil
	}
	return &Element{Set: s.Name, Key: string(e.Key), End: string(e.KeyEnd), Value: string(e.Val), Timeout: e.Timeout}
}
