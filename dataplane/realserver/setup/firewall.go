package setup

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Tables of nftables that do something for virtual addresses: the script's, and that of the agent
// (dataplane/nft).
const (
	tableScript = "truepacs_realserver"
	tableAgent  = "truepacs"
)

// readFirewall reads who guards and redirects virtual addresses.
func readFirewall() Firewall {
	conn, err := nftables.New()
	if err != nil {
		return Firewall{Unreadable: err.Error()}
	}
	var f Firewall
	if err := f.read(conn); err != nil {
		return Firewall{Unreadable: err.Error()}
	}
	return f
}

func (f *Firewall) read(conn *nftables.Conn) error {
	tables, err := conn.ListTables()
	if err != nil {
		return err
	}
	chains, err := conn.ListChains()
	if err != nil {
		return err
	}
	for _, t := range tables {
		switch t.Name {
		case tableAgent:
			err = f.readAgent(conn, t)
		case tableScript:
			err = f.readScript(conn, t, chains)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readAgent reads the sets guarded4 and guarded6.
func (f *Firewall) readAgent(conn *nftables.Conn, t *nftables.Table) error {
	f.ByAgent = true
	sets, err := conn.GetSets(t)
	if err != nil {
		return err
	}
	for _, s := range sets {
		if !strings.HasPrefix(s.Name, "guarded") {
			continue
		}
		elements, err := conn.GetSetElements(s)
		if err != nil {
			return err
		}
		for _, e := range elements {
			if a, ok := netip.AddrFromSlice(e.Key); ok {
				f.Guarded = append(f.Guarded, a)
			}
		}
	}
	return nil
}

func (f *Firewall) readScript(conn *nftables.Conn, t *nftables.Table, chains []*nftables.Chain) error {
	for _, c := range chains {
		if c.Table.Name != t.Name || c.Table.Family != t.Family || c.Hooknum == nil {
			continue
		}
		rules, err := conn.GetRules(t, c)
		if err != nil {
			return err
		}
		for _, r := range rules {
			f.learn(r.Exprs)
		}
	}
	return nil
}

// learn reads a rule about one destination address: whether it drops what no rule before it let
// through, or redirects.
func (f *Firewall) learn(all []expr.Any) {
	address, ok := destination(all)
	if !ok {
		return
	}
	for _, e := range all {
		switch e := e.(type) {
		case *expr.Verdict:
			if e.Kind == expr.VerdictDrop {
				f.Guarded = append(f.Guarded, address)
			}
		case *expr.Redir:
			if !slices.Contains(f.Redirected, address) {
				f.Redirected = append(f.Redirected, address)
			}
		}
	}
}

// destination is the address that a rule compares the packet's destination with. nft compares the
// protocol first, which has one byte.
func destination(all []expr.Any) (netip.Addr, bool) {
	for i, e := range all {
		load, isLoad := e.(*expr.Payload)
		if !isLoad || load.Base != expr.PayloadBaseNetworkHeader || load.Len != 4 && load.Len != 16 || i+1 == len(all) {
			continue
		}
		if compare, ok := all[i+1].(*expr.Cmp); ok && compare.Op == expr.CmpOpEq {
			return netip.AddrFromSlice(bytes.Clone(compare.Data))
		}
	}
	return netip.Addr{}, false
}
