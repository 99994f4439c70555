package nft

import (
	"encoding/binary"
	"reflect"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	chainName = "prerouting"
	mapName4  = "services4"
)

// Registers (linux/netfilter/nf_tables.h): 1 begins where the four-byte registers 8, 9 and 10
// are, so three parts in these make one key.
const (
	registerKey   = unix.NFT_REG_1
	registerProto = unix.NFT_REG32_00 + 1
	registerPort  = unix.NFT_REG32_00 + 2
)

// Offsets and lengths of header fields in bytes (RFC 791 section 3.1; RFC 9293 section 3.1).
const (
	offsetDestination = 16
	lengthAddress4    = 4
	offsetPort        = 2
	lengthPort        = 2
	lengthMark        = 4
)

func tableOf(name string) *nftables.Table {
	return &nftables.Table{Name: name, Family: nftables.TableFamilyINet}
}

func chainOf(table *nftables.Table) *nftables.Chain {
	policy := nftables.ChainPolicyAccept
	return &nftables.Chain{
		Table: table, Name: chainName, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle, Policy: &policy,
	}
}

func mapOf(table *nftables.Table) (*nftables.Set, error) {
	key, err := nftables.ConcatSetType(nftables.TypeIPAddr, nftables.TypeInetProto, nftables.TypeInetService)
	if err != nil {
		return nil, err
	}
	return &nftables.Set{Table: table, Name: mapName4, IsMap: true, KeyType: key, DataType: nftables.TypeMark}, nil
}

// rules are the rules of the chain in their order. Whatever exempts packets from marking comes
// before the rule that marks.
func rules() [][]expr.Any {
	return [][]expr.Any{markRule()}
}

func markRule() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: registerKey},
		&expr.Cmp{Op: expr.CmpOpEq, Register: registerKey, Data: []byte{unix.NFPROTO_IPV4}},
		&expr.Payload{
			OperationType: expr.PayloadLoad, Base: expr.PayloadBaseNetworkHeader,
			Offset: offsetDestination, Len: lengthAddress4, DestRegister: registerKey,
		},
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: registerProto},
		&expr.Payload{
			OperationType: expr.PayloadLoad, Base: expr.PayloadBaseTransportHeader,
			Offset: offsetPort, Len: lengthPort, DestRegister: registerPort,
		},
		&expr.Lookup{SetName: mapName4, SourceRegister: registerKey, DestRegister: registerKey, IsDestRegSet: true},
		&expr.Meta{Key: expr.MetaKeyMARK, SourceRegister: true, Register: registerKey},
	}
}

// sameChain tells whether a chain is hooked in as ours.
func sameChain(got, want *nftables.Chain) bool {
	return got.Name == want.Name && got.Type == want.Type &&
		same(got.Hooknum, want.Hooknum) && same(got.Priority, want.Priority) && same(got.Policy, want.Policy)
}

func same[T comparable](a, b *T) bool { return a != nil && b != nil && *a == *b }

// sameMap tells whether a set is a map like ours. Of the types the kernel keeps only numbers for
// the nft program; their lengths are what counts.
func sameMap(got, want *nftables.Set) bool {
	return got.Name == want.Name && got.IsMap && !got.Interval && !got.HasTimeout && !got.Constant && !got.Dynamic &&
		got.KeyType.GetNFTMagic() == want.KeyType.GetNFTMagic() && got.KeyType.Bytes == want.KeyType.Bytes &&
		got.DataType.GetNFTMagic() == want.DataType.GetNFTMagic() && got.DataType.Bytes == want.DataType.Bytes
}

// sameRules tells whether the rules of a chain are ours, in their order.
func sameRules(got []*nftables.Rule, want [][]expr.Any) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range got {
		for _, e := range got[i].Exprs {
			if lookup, ok := e.(*expr.Lookup); ok {
				lookup.SetID = 0
			}
		}
		if !reflect.DeepEqual(got[i].Exprs, want[i]) {
			return false
		}
	}
	return true
}

func parseElement(e nftables.SetElement) (Element, bool) {
	match, ok := parseMatch(e.Key)
	if !ok || len(e.Val) != lengthMark {
		return Element{}, false
	}
	return Element{match, binary.NativeEndian.Uint32(e.Val)}, true
}
