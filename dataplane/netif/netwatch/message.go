package netwatch

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

const (
	messageHeader = 16        // struct nlmsghdr (linux/netlink.h)
	familyHeader  = 4         // struct nfgenmsg (linux/netfilter/nfnetlink.h)
	attrHeader    = 4         // struct nlattr
	typeMask      = 1<<14 - 1 // NLA_TYPE_MASK
	// tableName is the attribute with the table's name, of every message about something in a table:
	// NFTA_TABLE_NAME, NFTA_CHAIN_TABLE, NFTA_RULE_TABLE, NFTA_SET_TABLE, NFTA_SET_ELEM_LIST_TABLE,
	// NFTA_OBJ_TABLE, NFTA_FLOWTABLE_TABLE (linux/netfilter/nf_tables.h).
	tableName = 1
)

// namesTable tells whether one of the nftables messages of a datagram is about a table of family
// inet of that name. What cannot be read is: a look too many does no harm.
func namesTable(datagram []byte, table string) bool {
	for len(datagram) > 0 {
		if len(datagram) < messageHeader {
			return true
		}
		size := int(binary.NativeEndian.Uint32(datagram))
		if size < messageHeader || size > len(datagram) {
			return true
		}
		kind := binary.NativeEndian.Uint16(datagram[4:])
		if concerns(kind, datagram[messageHeader:size], table) {
			return true
		}
		datagram = datagram[min(aligned(size), len(datagram)):]
	}
	return false
}

// concerns judges one message. The end of a transaction (NFT_MSG_NEWGEN) names no table and follows
// messages that do.
func concerns(kind uint16, body []byte, table string) bool {
	if kind == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWGEN {
		return false
	}
	if len(body) < familyHeader {
		return true
	}
	if body[0] != unix.NFPROTO_INET {
		return false
	}
	name, found := attribute(body[familyHeader:], tableName)
	return !found || name == table
}

// attribute returns the text of an attribute, without the zero that ends it.
func attribute(b []byte, kind uint16) (text string, found bool) {
	for len(b) >= attrHeader {
		size := int(binary.NativeEndian.Uint16(b))
		if size < attrHeader || size > len(b) {
			return "", false
		}
		if binary.NativeEndian.Uint16(b[2:])&typeMask == kind {
			return unix.ByteSliceToString(b[attrHeader:size]), true
		}
		b = b[min(aligned(size), len(b)):]
	}
	return "", false
}

func aligned(n int) int { return (n + unix.NLMSG_ALIGNTO - 1) &^ (unix.NLMSG_ALIGNTO - 1) }
