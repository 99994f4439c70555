package nft

import (
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// chunk is how many elements go into one message: an attribute has 65,535 bytes at most and an
// element takes 40.
const chunk = 1000

// Byte orders as the nft program notes them in a set's user data (enum byteorder of nftables);
// the kernel does not look at them. Without the one about values nft lists marks back to front.
const (
	hostOrder    = 1
	networkOrder = 2
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
	if t.Rebuild {
		b.rebuild()
	}
	for part := range slices.Chunk(t.Remove, chunk) {
		b.elements(unix.NFT_MSG_DELSETELEM, 0, len(part), func(i int) ([]byte, []byte) { return part[i].bytes(), nil })
	}
	for part := range slices.Chunk(t.Add, chunk) {
		b.elements(unix.NFT_MSG_NEWSETELEM, netlink.Create|netlink.Excl, len(part), func(i int) ([]byte, []byte) {
			return part[i].bytes(), binary.NativeEndian.AppendUint32(nil, part[i].Mark)
		})
	}
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
func (b *batch) rebuild() {
	b.tableCommand(unix.NFT_MSG_NEWTABLE)
	b.tableCommand(unix.NFT_MSG_DELTABLE)
	b.tableCommand(unix.NFT_MSG_NEWTABLE)
	b.chain(chainOf(b.table))
	set, err := mapOf(b.table)
	if err != nil {
		b.err = err
		return
	}
	b.set(set)
	for _, expressions := range rules() {
		b.rule(expressions)
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

func (b *batch) set(s *nftables.Set) {
	notes := userdata.AppendUint32(nil, userdata.NFTNL_UDATA_SET_KEYBYTEORDER, networkOrder)
	notes = userdata.AppendUint32(notes, userdata.NFTNL_UDATA_SET_DATABYTEORDER, hostOrder)
	b.command(unix.NFT_MSG_NEWSET, netlink.Create, func(e *netlink.AttributeEncoder) {
		e.String(unix.NFTA_SET_TABLE, b.table.Name)
		e.String(unix.NFTA_SET_NAME, s.Name)
		e.Uint32(unix.NFTA_SET_ID, 1)
		e.Uint32(unix.NFTA_SET_FLAGS, unix.NFT_SET_MAP)
		e.Uint32(unix.NFTA_SET_KEY_TYPE, s.KeyType.GetNFTMagic())
		e.Uint32(unix.NFTA_SET_KEY_LEN, s.KeyType.Bytes)
		e.Uint32(unix.NFTA_SET_DATA_TYPE, s.DataType.GetNFTMagic())
		e.Uint32(unix.NFTA_SET_DATA_LEN, s.DataType.Bytes)
		e.Bytes(unix.NFTA_SET_USERDATA, notes)
	})
}

func (b *batch) rule(expressions []expr.Any) {
	b.command(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append, func(e *netlink.AttributeEncoder) {
		e.String(unix.NFTA_RULE_TABLE, b.table.Name)
		e.String(unix.NFTA_RULE_CHAIN, chainName)
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

// elements adds or removes n elements, of which at returns the key and the value.
func (b *batch) elements(kind int, flags netlink.HeaderFlags, n int, at func(int) (key, value []byte)) {
	b.command(kind, flags, func(e *netlink.AttributeEncoder) {
		e.String(unix.NFTA_SET_ELEM_LIST_TABLE, b.table.Name)
		e.String(unix.NFTA_SET_ELEM_LIST_SET, mapName4)
		nested(e, unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(e *netlink.AttributeEncoder) {
			for i := range n {
				key, value := at(i)
				nested(e, unix.NFTA_LIST_ELEM, func(e *netlink.AttributeEncoder) { element(e, key, value) })
			}
		})
	})
}

func element(e *netlink.AttributeEncoder, key, value []byte) {
	nested(e, unix.NFTA_SET_ELEM_KEY, func(e *netlink.AttributeEncoder) { e.Bytes(unix.NFTA_DATA_VALUE, key) })
	if value != nil {
		nested(e, unix.NFTA_SET_ELEM_DATA, func(e *netlink.AttributeEncoder) { e.Bytes(unix.NFTA_DATA_VALUE, value) })
	}
}
