package nft

import (
	"context"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Counters implements Kernel.
func (Netfilter) Counters(ctx context.Context, name string) (Counters, error) {
	var c Counters
	conn, err := connect(ctx)
	if err != nil {
		return c, err
	}
	defer hangUp(conn)
	chains, err := conn.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return c, err
	}
	counted := map[string]*uint64{chainGuard: &c.Guarded, chainReset: &c.Reset, chainMasquerade: &c.Masqueraded}
	for _, chain := range chains {
		sum, ours := counted[chain.Name]
		if !ours || chain.Table.Name != name {
			continue
		}
		rules, err := conn.GetRules(chain.Table, chain)
		if err != nil {
			return Counters{}, err
		}
		*sum = packets(rules)
	}
	return c, nil
}

// packets adds up the counters of rules.
func packets(rules []*nftables.Rule) uint64 {
	var sum uint64
	for _, r := range rules {
		at := slices.IndexFunc(r.Exprs, func(e expr.Any) bool { _, ok := e.(*expr.Counter); return ok })
		if at >= 0 {
			sum += r.Exprs[at].(*expr.Counter).Packets
		}
	}
	return sum
}
