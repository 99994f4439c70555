package nft

import (
	"encoding/binary"
	"maps"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// chunk is how many elements go into one message: an attribute has 65,535 bytes at most and the
// longest element, a range of IPv6, takes 84.
const chunk = 700

// Byte orders as the nft program notes them in a set's user data (enum byteorder of nftables);
// the kernel does not look at them. Without the one about values nft lists marks back to front.
const (
	hostOrder    = 1
	networkOrder = 2
)

// Of linux/netfilter/nf_tables.h: NFTA_SET_FIELD_LEN, and NFTA_SET_EXPR, an expression that the kernel
// gives to each element of a set.
const (
	setFieldLength = 1
	setExpression  = 17
)

// batch collects the messages of one transaction (linux/netfilter/nf_tables.h). The library
// writes too, but cannot note the byte order of a map's values and puts all elements into one
// message.
type batch struct {
	table    *nftables.Table
	commands []netlink.Message
	err      error
}

func transactionOf(table *nftables.Table, t Transaction) (*batch, error) {
	b := &batch{table: table}
	if t.Delete {
		b.tableCommand(unix.NFT_MSG_DELTABLE)
		return b, b.err
	}
	if t.Rebuild != nil {
		b.rebuild(*t.Rebuild)
	}
	b.elements(unix.NFT_MSG_DELSETELEM, 0, t.Remove, false)
	b.elements(unix.NFT_MSG_NEWSETELEM, netlink.Create|netlink.Excl, t.Add, true)
	return b, b.err
}

// messages returns the transaction as it goes to the kernel. It answers with the first error or,
// since only the last command asks for it, with one acknowledgement.
func (b *batch) messages() []netlink.Message {
	bound := func(kind netlink.HeaderType) netlink.Message {
		// struct nfgenmsg; its last two bytes name the subsystem.
		header := binary.BigEndian.AppendUint16([]byte{unix.AF_UNSPEC, unix.NFNETLINK_V0}, unix.NFNL_SUBSYS_NFTABLES)
		return netlink.Message{Header: netlink.Header{Type: kind, Flags: netlink.Request}, Data: header}
	}
	commands := slices.Clone(b.commands)
	commands[len(commands)-1].Header.Flags |= netlink.Acknowledge
	return slices.Concat([]netlink.Message{bound(unix.NFNL_MSG_BATCH_BEGIN)}, commands, []netlink.Message{bound(unix.NFNL_MSG_BATCH_END)})
}

func (b *batch) command(kind int, flags netlink.HeaderFlags, fill func(*netlink.AttributeEncoder)) {
	encoder := netlink.NewAttributeEncoder()
	encoder.ByteOrder = binary.BigEndian
	fill(encoder)
	attributes, err := encoder.Encode()
	if err != nil && b.err == nil {
		b.err = err
	}
	b.commands = append(b.commands, netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind), Flags: netlink.Request | flags},
		Data:   append([]byte{byte(b.table.Family), unix.NFNETLINK_V0, 0, 0}, attributes...),
	})
}

// nested encodes attributes within an attribute.
func nested(e *netlink.AttributeEncoder, kind uint16, fill func(*netlink.AttributeEncoder)) {
	e.Nested(kind, func(inner *netlink.AttributeEncoder) error {
		inner.ByteOrder = binary.BigEndian
		fill(inner)
		return nil
	})
}

func (b *batch) tableCommand(kind int) {
	flags := netlink.HeaderFlags(0)
	if kind == unix.NFT_MSG_NEWTABLE {
		flags = netlink.Create
	}
	b.command(kind, flags, func(e *netlink.AttributeEncoder) { e.String(unix.NFTA_TABLE_NAME, b.table.Name) })
}

// rebuild makes a fresh table. Adding it first lets the removal succeed when there is none.
func (b *batch) rebuild(shape Shape) {
	b.tableCommand(unix.NFT_MSG_NEWTABLE)
	b.tableCommand(unix.NFT_MSG_DELTABLE)
	b.tableCommand(unix.NFT_MSG_NEWTABLE)
	for i, s := range shape.sets() {
		b.set(s, uint32(i+1))
	}
	for _, c := range shape.chains(b.table) {
		b.chain(c.chain)
		for _, expressions := range c.rules {
			b.rule(c.chain.Name, expressions)
		}
	}
}

func (b *batch) chain(c *nftables.Chain) {
	b.command(unix.NFT_MSG_NEWCHAIN, netlink.Create, func(e *netlink.AttributeEncoder) {
		e.String(unix.NFTA_CHAIN_TABLE, b.table.Name)
		e.String(unix.NFTA_CHAIN_NAME, c.Name)
		nested(e, unix.NFTA_CHAIN_HOOK, func(e *netlink.AttributeEncoder) {
			e.Uint32(unix.NFTA_HOOK_HOOKNUM, uint32(*c.Hooknum))
			e.Uint32(unix.NFTA_HOOK_PRIORITY, uint32(*c.Priority))
		})
		e.Uint32(unix.NFTA_CHAIN_POLICY, uint32(*c.Policy))
		e.String(unix.NFTA_CHAIN_TYPE, string(c.Type))
	})
}

func (b *batch) set(s setSpec, id uint32) {
	set, err := s.spec(b.table)
	if err != nil && b.err == nil {
		b.err = err
		return
	}
	b.command(unix.NFT_MSG_NEWSET, netlink.Create, func(e *netlink.AttributeEncoder) {
		e.String(unix.NFTA_SET_TABLE, b.table.Name)
		e.String(unix.NFTA_SET_NAME, s.name)
		e.Uint32(unix.NFTA_SET_ID, id)
		e.Uint32(unix.NFTA_SET_FLAGS, s.flags())
		e.Uint32(unix.NFTA_SET_KEY_TYPE, set.KeyType.GetNFTMagic())
		e.Uint32(unix.NFTA_SET_KEY_LEN, set.KeyType.Bytes)
		if set.IsMap {
			e.Uint32(unix.NFTA_SET_DATA_TYPE, set.DataType.GetNFTMagic())
			e.Uint32(unix.NFTA_SET_DATA_LEN, set.DataType.Bytes)
		}
		nested(e, unix.NFTA_SET_DESC, func(e *netlink.AttributeEncoder) { describe(e, s, set) })
		e.Bytes(unix.NFTA_SET_USERDATA, s.notes())
		if s.counted {
			nested(e, setExpression, func(e *netlink.AttributeEncoder) { e.String(unix.NFTA_EXPR_NAME, "counter") })
		}
	})
}

// describe tells the kernel how many elements a set may have, and where the parts of its keys
// are, which ranges need.
func describe(e *netlink.AttributeEncoder, s setSpec, set *nftables.Set) {
	if set.Size > 0 {
		e.Uint32(unix.NFTA_SET_DESC_SIZE, set.Size)
	}
	if !s.interval {
		return
	}
	nested(e, nftables.NFTA_SET_DESC_CONCAT, func(e *netlink.AttributeEncoder) {
		for _, part := range s.key {
			nested(e, unix.NFTA_LIST_ELEM, func(e *netlink.AttributeEncoder) { e.Uint32(setFieldLength, part.Bytes) })
		}
	})
}

// notes are for the nft program.
func (s setSpec) notes() []byte {
	order := func(t nftables.SetDatatype) uint32 {
		if t.Name == nftables.TypeMark.Name {
			return hostOrder
		}
		return networkOrder
	}
	notes := userdata.AppendUint32(nil, userdata.NFTNL_UDATA_SET_KEYBYTEORDER, order(s.key[0]))
	if s.value != nil {
		notes = userdata.AppendUint32(notes, userdata.NFTNL_UDATA_SET_DATABYTEORDER, order(*s.value))
	}
	return notes
}

func (b *batch) rule(chain string, expressions []expr.Any) {
	b.command(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append, func(e *netlink.AttributeEncoder) {
		e.String(unix.NFTA_RULE_TABLE, b.table.Name)
		e.String(unix.NFTA_RULE_CHAIN, chain)
		nested(e, unix.NFTA_RULE_EXPRESSIONS, func(e *netlink.AttributeEncoder) {
			for _, expression := range expressions {
				encoded, err := expr.Marshal(byte(b.table.Family), expression)
				if err != nil && b.err == nil {
					b.err = err
				}
				e.Bytes(unix.NLA_F_NESTED|unix.NFTA_LIST_ELEM, encoded)
			}
		})
	})
}

// elements adds or removes elements, at most chunk of one set in a message.
func (b *batch) elements(kind int, flags netlink.HeaderFlags, all []Element, values bool) {
	bySet := map[string][]Element{}
	for _, e := range all {
		bySet[e.Set] = append(bySet[e.Set], e)
	}
	for _, set := range slices.Sorted(maps.Keys(bySet)) {
		for part := range slices.Chunk(bySet[set], chunk) {
			b.part(kind, flags, set, part, values)
		}
	}
}

func (b *batch) part(kind int, flags netlink.HeaderFlags, set string, part []Element, values bool) {
	b.command(kind, flags, func(e *netlink.AttributeEncoder) {
		e.String(unix.NFTA_SET_ELEM_LIST_TABLE, b.table.Name)
		e.String(unix.NFTA_SET_ELEM_LIST_SET, set)
		nested(e, unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(e *netlink.AttributeEncoder) {
			for _, one := range part {
				nested(e, unix.NFTA_LIST_ELEM, func(e *netlink.AttributeEncoder) { element(e, one, values) })
			}
		})
	})
}

func element(e *netlink.AttributeEncoder, one Element, values bool) {
	data := func(kind uint16, bytes string) {
		if bytes != "" {
			nested(e, kind, func(e *netlink.AttributeEncoder) { e.Bytes(unix.NFTA_DATA_VALUE, []byte(bytes)) })
		}
	}
	data(unix.NFTA_SET_ELEM_KEY, one.Key)
	data(nftables.NFTA_SET_ELEM_KEY_END, one.End)
	if !values {
		return
	}
	data(unix.NFTA_SET_ELEM_DATA, one.Value)
	if one.Timeout > 0 {
		e.Uint64(unix.NFTA_SET_ELEM_TIMEOUT, uint64(one.Timeout.Milliseconds()))
	}
}
