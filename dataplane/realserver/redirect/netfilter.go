package redirect

import (
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/model"
)

const (
	tableName = "truepacs_redirect"
	chainName = "prerouting"
	// timeout bounds one reading or writing.
	timeout = 10 * time.Second
)

// Offsets of header fields in bytes (RFC 791 section 3.1, RFC 8200 section 3, RFC 9293 section 3.1).
const (
	offsetDestination4 = 16
	offsetDestination6 = 24
	offsetPort         = 2
)

// Netfilter is the kernel of the calling thread's network namespace. Each call opens its own
// sockets.
type Netfilter struct{}

var _ Kernel = Netfilter{}

func connect(ctx context.Context) (*nftables.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	deadline := time.Now().Add(timeout)
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(deadline) {
		deadline = earlier
	}
	return nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error { return c.SetDeadline(deadline) }))
}

func tableOf(ipv6 bool) *nftables.Table {
	if ipv6 {
		return &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv6}
	}
	return &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv4}
}

func chainOf(table *nftables.Table) *nftables.Chain {
	return &nftables.Chain{
		Table: table, Name: chainName, Type: nftables.ChainTypeNAT,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
	}
}

// Read implements Kernel. A rule is known by its comment: nothing changes a rule in place, and
// what replaces one has no comment of ours.
func (Netfilter) Read(ctx context.Context, ipv6 bool) ([]Rule, bool, error) {
	conn, err := connect(ctx)
	if err != nil {
		return nil, false, err
	}
	table := tableOf(ipv6)
	tables, err := conn.ListTablesOfFamily(table.Family)
	if err != nil {
		return nil, false, err
	}
	at := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == tableName })
	if at < 0 {
		return nil, true, nil
	}
	chains, err := conn.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return nil, false, err
	}
	chains = slices.DeleteFunc(chains, func(c *nftables.Chain) bool { return c.Table.Name != tableName })
	if tables[at].Flags != 0 || len(chains) != 1 || !sameChain(chains[0]) {
		return nil, false, nil
	}
	found, err := conn.GetRules(table, chains[0])
	if err != nil {
		return nil, false, err
	}
	rules, intact := parseRules(found)
	return rules, intact, nil
}

func sameChain(c *nftables.Chain) bool {
	return c.Name == chainName && c.Type == nftables.ChainTypeNAT && c.Hooknum != nil && *c.Hooknum == *nftables.ChainHookPrerouting &&
		c.Priority != nil && *c.Priority == *nftables.ChainPriorityNATDest
}

func parseRules(found []*nftables.Rule) ([]Rule, bool) {
	rules := make([]Rule, 0, len(found))
	for _, f := range found {
		comment, _ := userdata.GetString(f.UserData, userdata.TypeComment)
		r, ok := parseRule(comment)
		if !ok {
			return nil, false
		}
		rules = append(rules, r)
	}
	return rules, true
}

// parseRule reads what Rule.String writes.
func parseRule(comment string) (Rule, bool) {
	words := strings.Fields(comment)
	if len(words) != 3 {
		return Rule{}, false
	}
	address, err := netip.ParseAddr(words[0])
	if err != nil {
		return Rule{}, false
	}
	first, last, isRange := strings.Cut(words[2], "-")
	if !isRange {
		last = first
	}
	from, err1 := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	r := Rule{address, model.Protocol(words[1]), uint16(from), uint16(to)}
	return r, err1 == nil && err2 == nil && r.String() == comment
}

// Replace implements Kernel.
func (Netfilter) Replace(ctx context.Context, ipv6 bool, rules []Rule) error {
	conn, err := connect(ctx)
	if err != nil {
		return err
	}
	table := tableOf(ipv6)
	conn.AddTable(table) // so that there is one to delete
	conn.DelTable(table)
	if len(rules) > 0 {
		conn.AddTable(table)
		chain := conn.AddChain(chainOf(table))
		for _, r := range rules {
			conn.AddRule(&nftables.Rule{
				Table: table, Chain: chain, Exprs: r.expressions(),
				UserData: userdata.AppendString(nil, userdata.TypeComment, r.String()),
			})
		}
	}
	return conn.Flush()
}

// expressions are `ip daddr A tcp dport F-L redirect` as nft compiles it.
func (r Rule) expressions() []expr.Any {
	offset, protocol := uint32(offsetDestination4), byte(unix.IPPROTO_TCP)
	if r.Address.Is6() {
		offset = offsetDestination6
	}
	if r.Protocol == model.UDP {
		protocol = unix.IPPROTO_UDP
	}
	const register = unix.NFT_REG_1
	port := func(n uint16) []byte { return binary.BigEndian.AppendUint16(nil, n) }
	return []expr.Any{
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: uint32(r.Address.BitLen() / 8)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: r.Address.AsSlice()},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: register, Data: []byte{protocol}},
		&expr.Payload{DestRegister: register, Base: expr.PayloadBaseTransportHeader, Offset: offsetPort, Len: 2},
		&expr.Range{Op: expr.CmpOpEq, Register: register, FromData: port(r.First), ToData: port(r.Last)},
		&expr.Redir{},
	}
}
