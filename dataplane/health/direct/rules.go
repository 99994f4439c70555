package direct

import (
	"net/netip"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Names in nftables.
const (
	tableName = "truepacs_direct"
	outMap    = "vip_of_alias"
	flowMap   = "alias_of_flow"
	vipSet    = "vips"
)

// flowTime is how long a flow is remembered after our last packet. Open connections refresh it by
// keepalive; local ports rest that long after it.
const flowTime = 10 * time.Second

// maxFlows bounds the memory for flows in the kernel.
const maxFlows = 1 << 16

// layout is where addresses stand in the header of one family and in the registers.
type layout struct {
	family           nftables.TableFamily
	addr             nftables.SetDatatype
	source, dest     uint32 // offsets in the network header
	size             uint32 // bytes of an address
	csum             expr.PayloadCsumType
	csumOffset       uint32
	prefix           uint32 // leading bytes of an address that a pool decides
	rSource, rSPort  uint32 // the key of a flow, in order: source, source port, ...
	rDest, rDPort    uint32
	rAlias, rScratch uint32
}

func layoutOf(v6 bool) layout {
	if v6 {
		return layout{
			family: nftables.TableFamilyIPv6, addr: nftables.TypeIP6Addr, source: 8, dest: 24, size: 16, prefix: 8,
			rSource: 8, rSPort: 12, rDest: 13, rDPort: 17, rAlias: 18, rScratch: 22,
		}
	}
	return layout{
		family: nftables.TableFamilyIPv4, addr: nftables.TypeIPAddr, source: 12, dest: 16, size: 4, prefix: 4,
		csum: expr.CsumTypeInet, csumOffset: 10,
		rSource: 8, rSPort: 9, rDest: 10, rDPort: 11, rAlias: 12, rScratch: 13,
	}
}

func (l layout) load(offset, register uint32) expr.Any {
	return &expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: l.size, DestRegister: register}
}

// store writes an address and mends the header's own checksum only: TCP's stays right by choice of
// the alias, while the kernel's mending would spoil it where the card computes it.
func (l layout) store(offset, register uint32) expr.Any {
	return &expr.Payload{
		OperationType: expr.PayloadWrite, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: l.size,
		SourceRegister: register, CsumType: l.csum, CsumOffset: l.csumOffset,
	}
}

func port(offset, register uint32) expr.Any {
	return &expr.Payload{Base: expr.PayloadBaseTransportHeader, Offset: offset, Len: 2, DestRegister: register}
}

func (l layout) isTCP() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: l.rScratch},
		&expr.Cmp{Op: expr.CmpOpEq, Register: l.rScratch, Data: []byte{unix.IPPROTO_TCP}},
	}
}

// toPool matches packets to the pool. Nearly all packets of the host leave the chain here.
func (l layout) toPool(pool netip.Prefix) []expr.Any {
	mask := make([]byte, l.prefix)
	for i := range pool.Bits() {
		mask[i/8] |= 0x80 >> (i % 8)
	}
	return []expr.Any{
		&expr.Payload{Base: expr.PayloadBaseNetworkHeader, Offset: l.dest, Len: l.prefix, DestRegister: l.rScratch},
		&expr.Bitwise{SourceRegister: l.rScratch, DestRegister: l.rScratch, Len: l.prefix, Mask: mask, Xor: make([]byte, l.prefix)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: l.rScratch, Data: pool.Addr().AsSlice()[:l.prefix]},
	}
}

// outward notes the flow and puts the VIP in place of the alias.
func (l layout) outward(pool netip.Prefix) []expr.Any {
	rule := append(l.toPool(pool), l.isTCP()...)
	return append(rule,
		l.load(l.dest, l.rAlias),
		&expr.Lookup{SetName: outMap, SourceRegister: l.rAlias, DestRegister: l.rDest, IsDestRegSet: true},
		l.store(l.dest, l.rDest),
		// Loaded again: a key with the value of a map in it makes nft (1.0.6) abort when it lists it.
		l.load(l.dest, l.rDest),
		l.load(l.source, l.rSource), port(0, l.rSPort), port(2, l.rDPort),
		&expr.Dynset{SrcRegKey: l.rSource, SrcRegData: l.rAlias, SetName: flowMap, Operation: unix.NFT_DYNSET_OP_UPDATE, Timeout: flowTime},
		&expr.Verdict{Kind: expr.VerdictAccept},
	)
}

// neverLeaks drops what would leave with an alias on it.
func (l layout) neverLeaks(pool netip.Prefix) []expr.Any {
	return append(l.toPool(pool), &expr.Verdict{Kind: expr.VerdictDrop})
}

// inward puts the alias in place of the VIP on replies to flows of ours.
func (l layout) inward() []expr.Any {
	return append(l.isTCP(),
		l.load(l.source, l.rDest),
		&expr.Lookup{SetName: vipSet, SourceRegister: l.rDest},
		l.load(l.dest, l.rSource), port(2, l.rSPort), port(0, l.rDPort),
		&expr.Lookup{SetName: flowMap, SourceRegister: l.rSource, DestRegister: l.rAlias, IsDestRegSet: true},
		l.store(l.source, l.rAlias),
	)
}

func (l layout) table() *nftables.Table { return &nftables.Table{Name: tableName, Family: l.family} }

func (l layout) out() *nftables.Set {
	return &nftables.Set{Table: l.table(), Name: outMap, IsMap: true, KeyType: l.addr, DataType: l.addr}
}

func (l layout) vips() *nftables.Set {
	return &nftables.Set{Table: l.table(), Name: vipSet, KeyType: l.addr}
}

func (l layout) flows() (*nftables.Set, error) {
	key, err := nftables.ConcatSetType(l.addr, nftables.TypeInetService, l.addr, nftables.TypeInetService)
	return &nftables.Set{
		Table: l.table(), Name: flowMap, IsMap: true, KeyType: key, DataType: l.addr, Concatenation: true,
		Dynamic: true, HasTimeout: true, Timeout: flowTime, Size: maxFlows, KeyByteOrder: binaryutil.BigEndian,
	}, err
}

func (l layout) chain(name string, hook *nftables.ChainHook, priority nftables.ChainPriority) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return &nftables.Chain{
		Table: l.table(), Name: name, Type: nftables.ChainTypeFilter, Hooknum: hook,
		Priority: nftables.ChainPriorityRef(priority), Policy: &accept,
	}
}

// program queues the whole table, in place of what has its name. Outward comes behind
// everything else, inward before connection tracking, which so sees one plain connection.
func (l layout) program(conn *nftables.Conn, pool netip.Prefix) error {
	t := conn.AddTable(l.table())
	conn.DelTable(t)
	conn.AddTable(t)
	flows, err := l.flows()
	if err != nil {
		return err
	}
	for _, s := range []*nftables.Set{l.out(), l.vips(), flows} {
		if err := conn.AddSet(s, nil); err != nil {
			return err
		}
	}
	out := conn.AddChain(l.chain("outward", nftables.ChainHookPostrouting, 310))
	in := conn.AddChain(l.chain("inward", nftables.ChainHookPrerouting, -310))
	conn.AddRule(&nftables.Rule{Table: t, Chain: out, Exprs: l.outward(pool)})
	conn.AddRule(&nftables.Rule{Table: t, Chain: out, Exprs: l.neverLeaks(pool)})
	conn.AddRule(&nftables.Rule{Table: t, Chain: in, Exprs: l.inward()})
	return nil
}
