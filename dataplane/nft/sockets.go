package nft

import (
	"context"
	"encoding/binary"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// lookups are what a rule asks of sockets, and how many expressions it has in all. The library writes
// such expressions and passes over them when it reads.
type lookups struct {
	sockets []expr.Socket
	length  int
}

// lookupsOf returns those of expressions that we write.
func lookupsOf(expressions []expr.Any) lookups {
	l := lookups{length: len(expressions)}
	for _, e := range expressions {
		if s, ok := e.(*expr.Socket); ok {
			l.sockets = append(l.sockets, *s)
		}
	}
	return l
}

// sameLookups tells whether the rules of a chain ask of sockets what ours do.
func sameLookups(ctx context.Context, c chainSpec) (bool, error) {
	asks := func(r rule) bool { return len(lookupsOf(r).sockets) > 0 }
	if !slices.ContainsFunc(c.rules, asks) {
		return true, nil
	}
	conn, err := dial(ctx)
	if err != nil {
		return false, err
	}
	defer conn.Close()
	there, err := readLookups(conn, c.chain)
	return err == nil && slices.EqualFunc(there, c.rules, func(got lookups, want rule) bool {
		return got.length == len(want) && slices.Equal(got.sockets, lookupsOf(want).sockets)
	}), err
}

func readLookups(conn *netlink.Conn, chain *nftables.Chain) ([]lookups, error) {
	encoder := netlink.NewAttributeEncoder()
	encoder.String(unix.NFTA_RULE_TABLE, chain.Table.Name)
	encoder.String(unix.NFTA_RULE_CHAIN, chain.Name)
	names, err := encoder.Encode()
	if err != nil {
		return nil, err
	}
	answers, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETRULE, Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{byte(chain.Table.Family), unix.NFNETLINK_V0, 0, 0}, names...),
	})
	if err != nil {
		return nil, err
	}
	all := make([]lookups, 0, len(answers))
	for _, answer := range answers {
		l, err := parseLookups(answer.Data)
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, nil
}

// parseLookups reads a message about a rule (linux/netfilter/nf_tables.h, enum nft_rule_attributes).
func parseLookups(b []byte) (l lookups, err error) {
	decoder, err := attributes(b[min(4, len(b)):]) // struct nfgenmsg
	if err != nil {
		return l, err
	}
	for decoder.Next() {
		if decoder.Type() != unix.NFTA_RULE_EXPRESSIONS {
			continue
		}
		decoder.Nested(func(list *netlink.AttributeDecoder) error {
			for list.Next() {
				l.length++
				list.Nested(l.expression)
			}
			return list.Err()
		})
	}
	return l, decoder.Err()
}

// expression takes over one expression if it looks sockets up.
func (l *lookups) expression(decoder *netlink.AttributeDecoder) error {
	name, asked := "", []expr.Socket(nil)
	for decoder.Next() {
		switch {
		case decoder.Type() == unix.NFTA_EXPR_NAME:
			name = decoder.String()
		case decoder.Type() == unix.NFTA_EXPR_DATA && name == "socket":
			var s expr.Socket
			if err := expr.Unmarshal(unix.NFPROTO_INET, decoder.Bytes(), &s); err != nil {
				return err
			}
			asked = []expr.Socket{s}
		}
	}
	l.sockets = append(l.sockets, asked...)
	return decoder.Err()
}

func attributes(b []byte) (*netlink.AttributeDecoder, error) {
	decoder, err := netlink.NewAttributeDecoder(b)
	if err == nil {
		decoder.ByteOrder = binary.BigEndian
	}
	return decoder, err
}
