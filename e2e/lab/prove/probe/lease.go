package main

import (
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"time"

	"github.com/google/nftables"
)

// lease is an element with a timeout in the set "owned" of the table "arp lease".
type lease struct {
	conn    *nftables.Conn
	set     *nftables.Set
	element []nftables.SetElement
	refused int // transactions that the kernel refused
}

func newLease(address string, timeout time.Duration) (*lease, error) {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	table := &nftables.Table{Family: nftables.TableFamilyARP, Name: "lease"}
	l := &lease{
		set:     &nftables.Set{Table: table, Name: "owned", KeyType: nftables.TypeIPAddr, HasTimeout: true},
		element: []nftables.SetElement{{Key: ip.AsSlice(), Timeout: timeout}},
	}
	return l, l.connect()
}

// connect opens a new netlink socket: after a refused transaction the old one may
// hold answers that nobody has read.
func (l *lease) connect() error {
	if l.conn != nil {
		_ = l.conn.CloseLasting()
	}
	var err error
	l.conn, err = nftables.New(nftables.AsLasting())
	return err
}

// tries is how often renew repeats a transaction that was refused.
const tries = 5

// renew replaces the element in one transaction. To add an element that exists does
// not renew it, and to delete one that has expired is an error: hence add, delete,
// add. In the instant of the expiry the kernel can still refuse it (ENOENT: it
// expired between add and delete); nothing has changed then, and it is repeated.
func (l *lease) renew() error {
	var err error
	for range tries {
		if err = l.replace(); err == nil {
			return nil
		}
		l.refused++
		if again := l.connect(); again != nil {
			return errors.Join(err, again)
		}
	}
	return err
}

func (l *lease) replace() error {
	return errors.Join(
		l.conn.SetAddElements(l.set, l.element),
		l.conn.SetDeleteElements(l.set, l.element),
		l.conn.SetAddElements(l.set, l.element),
		l.conn.Flush(),
	)
}

// addOnly is the renewal that does not work: it shows that the test can tell.
func (l *lease) addOnly() error {
	return errors.Join(l.conn.SetAddElements(l.set, l.element), l.conn.Flush())
}

// holdLease renews until it is killed.
func holdLease(args []string) error {
	flags := flag.NewFlagSet("lease", flag.ContinueOnError)
	address := flags.String("address", "", "address to own")
	timeout := flags.Duration("timeout", 300*time.Millisecond, "life of one renewal")
	period := flags.Duration("period", 50*time.Millisecond, "time between renewals")
	naive := flags.Bool("add-only", false, "renew by add alone")
	if err := flags.Parse(args); err != nil {
		return err
	}
	l, err := newLease(*address, *timeout)
	if err != nil {
		return err
	}
	renew := l.renew
	if *naive {
		renew = l.addOnly
	}
	for {
		if err := renew(); err != nil {
			return fmt.Errorf("renew: %w", err)
		}
		time.Sleep(*period)
	}
}

// stressAddresses is the number of leases that take turns. Expired copies of one
// element stay in the set until its collector runs, once a second; where they are
// dozens, as with a lease of a few milliseconds, the kernel refuses some renewals
// with EBUSY, because its hash table cannot spread equal keys.
const stressAddresses = 250

// stressLease renews leases around the moment of their expiry, counts transactions
// that the kernel refused, and fails when repeating does not help.
func stressLease(args []string) error {
	flags := flag.NewFlagSet("lease-stress", flag.ContinueOnError)
	rounds := flags.Int("rounds", 1000, "leases to renew at their expiry")
	one := flags.Bool("one-address", false, "show what too many expired copies do")
	if err := flags.Parse(args); err != nil {
		return err
	}
	refused := 0
	for i := range *rounds {
		host := i%stressAddresses + 1
		if *one {
			host = 1
		}
		n, err := renewAtExpiry(fmt.Sprintf("198.18.0.%d", host), i)
		if err != nil {
			return fmt.Errorf("lease %d: refused %d times: %w", i, n, err)
		}
		refused += n
	}
	fmt.Printf("leases=%d refused=%d\n", *rounds, refused)
	return nil
}

// renewAtExpiry takes a lease and renews it a little before, at, or after its end.
// It returns how many transactions were refused and repeated.
func renewAtExpiry(address string, i int) (int, error) {
	timeout := time.Duration(i%8+4) * time.Millisecond
	l, err := newLease(address, timeout)
	if err != nil {
		return 0, err
	}
	defer func() { _ = l.conn.CloseLasting() }()
	if err := l.renew(); err != nil {
		return l.refused, err
	}
	time.Sleep(timeout - time.Duration(i%5-2)*time.Millisecond)
	err = l.renew()
	return l.refused, err
}
