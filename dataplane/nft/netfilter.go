package nft

import (
	"context"
	"errors"
	"slices"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// timeout bounds one reading or writing; 10,000 elements take a small part of a second.
	timeout = 10 * time.Second
	// buffer bounds what one transaction and its answers may take in a socket, in bytes; it is
	// a limit, nothing is reserved. An element takes 84 bytes at most.
	buffer = 32 << 20
	// readAttempts is how often the table is read again because the ruleset changed meanwhile.
	readAttempts = 10
)

// Netfilter is the kernel of the calling thread's network namespace. Each call opens its own
// sockets, one or two.
type Netfilter struct{}

var _ Kernel = Netfilter{}

// connect returns a connection of one socket that gives up at the context's end or after timeout. It must
// be closed with hangUp.
func connect(ctx context.Context) (*nftables.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error { return prepare(ctx, c) }))
}

// hangUp closes a connection. What closing it could fail with concerns nobody.
func hangUp(conn *nftables.Conn) { _ = conn.CloseLasting() }

// dial returns a connection for messages of our own.
func dial(ctx context.Context) (*netlink.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, err
	}
	if err := prepare(ctx, conn); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

func prepare(ctx context.Context, c *netlink.Conn) error {
	deadline := time.Now().Add(timeout)
	if earlier, ok := ctx.Deadline(); ok && earlier.Before(deadline) {
		deadline = earlier
	}
	return errors.Join(c.SetDeadline(deadline), c.SetWriteBuffer(buffer), c.SetReadBuffer(buffer))
}

// Generation implements Kernel.
func (Netfilter) Generation(ctx context.Context) (uint32, error) {
	conn, err := dial(ctx)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	return generation(conn)
}

// Read implements Kernel. A reading counts only if the rules' generation was the same before and
// after.
func (n Netfilter) Read(ctx context.Context, name string, shape Shape) (*Table, error) {
	counter, err := dial(ctx)
	if err != nil {
		return nil, err
	}
	defer counter.Close()
	for range readAttempts {
		before, err := generation(counter)
		if err != nil {
			return nil, err
		}
		table, err := n.read(ctx, name, shape)
		after, err2 := generation(counter)
		if err2 != nil {
			return nil, err2
		}
		if before != after {
			continue
		}
		if table != nil {
			table.Generation = after
		}
		return table, err
	}
	return nil, errBusy
}

func (n Netfilter) read(ctx context.Context, name string, shape Shape) (*Table, error) {
	conn, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	defer hangUp(conn)
	tables, err := conn.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(tables, func(t *nftables.Table) bool { return t.Name == name })
	if at < 0 {
		return nil, nil
	}
	if tables[at].Flags != 0 {
		return &Table{}, nil
	}
	table, err := readTable(ctx, conn, tableOf(name), shape)
	if err != nil && !refused(err) {
		// Not the kernel but its answer is strange: somebody put in what we never do.
		return &Table{}, nil
	}
	return table, err
}

// refused tells whether an error comes from the kernel or the socket and not from parsing.
func refused(err error) bool {
	return errors.As(err, new(syscall.Errno)) || errors.As(err, new(*netlink.OpError))
}

func readTable(ctx context.Context, conn *nftables.Conn, table *nftables.Table, shape Shape) (*Table, error) {
	sets, err := readSets(conn, table, shape)
	if err != nil || sets == nil {
		return &Table{}, err
	}
	intact, err := readChains(ctx, conn, table, shape)
	if err != nil || !intact {
		return &Table{}, err
	}
	read := &Table{Intact: true}
	for _, set := range sets {
		elements, err := readElements(conn, set)
		if err != nil || elements == nil {
			return &Table{}, err
		}
		read.Elements = append(read.Elements, elements...)
	}
	return read, nil
}

// readSets returns the sets that we fill; nil if sets are there that are not ours.
func readSets(conn *nftables.Conn, table *nftables.Table, shape Shape) ([]*nftables.Set, error) {
	there, err := conn.GetSets(table)
	if err != nil {
		return nil, err
	}
	specs := shape.sets()
	if len(there) != len(specs) {
		return nil, nil
	}
	filled := []*nftables.Set{}
	for _, spec := range specs {
		want, err := spec.spec(table)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(there, func(s *nftables.Set) bool { return sameSet(s, want) }) {
			return nil, nil
		}
		if spec.dynamic == 0 {
			filled = append(filled, want)
		}
	}
	return filled, nil
}

// readChains tells whether chains and rules are ours.
func readChains(ctx context.Context, conn *nftables.Conn, table *nftables.Table, shape Shape) (bool, error) {
	there, err := conn.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return false, err
	}
	there = slices.DeleteFunc(there, func(c *nftables.Chain) bool { return c.Table.Name != table.Name })
	specs := shape.chains(table)
	if len(there) != len(specs) {
		return false, nil
	}
	for _, spec := range specs {
		if !slices.ContainsFunc(there, func(c *nftables.Chain) bool { return sameChain(c, spec.chain) }) {
			return false, nil
		}
		rules, err := conn.GetRules(table, spec.chain)
		if err != nil || !sameRules(rules, spec.rules) {
			return false, err
		}
		if same, err := sameLookups(ctx, spec); err != nil || !same {
			return false, err
		}
	}
	return true, nil
}

// readElements returns nil if some are not as we make them.
func readElements(conn *nftables.Conn, set *nftables.Set) ([]Element, error) {
	found, err := conn.GetSetElements(set)
	if err != nil {
		return nil, err
	}
	elements := make([]Element, 0, len(found))
	for _, f := range found {
		e := parseElement(set, f)
		if e == nil {
			return nil, nil
		}
		elements = append(elements, *e)
	}
	return elements, nil
}

// Apply implements Kernel.
func (Netfilter) Apply(ctx context.Context, name string, t Transaction) error {
	b, err := transactionOf(tableOf(name), t)
	if err != nil {
		return err
	}
	conn, err := dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.SendMessages(b.messages()); err != nil {
		return err
	}
	_, err = conn.Receive()
	return err
}

// generation returns the number of the ruleset's present state (NFT_MSG_GETGEN,
// linux/netfilter/nf_tables.h).
func generation(conn *netlink.Conn) (uint32, error) {
	answers, err := conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
		Data:   make([]byte, 4), // struct nfgenmsg
	})
	if err != nil {
		return 0, err
	}
	for _, answer := range answers {
		if number, ok := parseGeneration(answer.Data); ok {
			return number, nil
		}
	}
	return 0, errors.New("the kernel does not number its firewall rulesets")
}

func parseGeneration(b []byte) (uint32, bool) {
	if len(b) < 4 {
		return 0, false
	}
	decoder, err := attributes(b[4:])
	if err != nil {
		return 0, false
	}
	for decoder.Next() {
		if decoder.Type() == unix.NFTA_GEN_ID {
			return decoder.Uint32(), decoder.Err() == nil
		}
	}
	return 0, false
}
