package redirect

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/truepacs/balancer/dataplane/model"
)

// Redirection is a virtual IP address with the ports that this host serves.
type Redirection struct {
	// Address is the virtual IP address.
	Address netip.Addr
	// Protocol is the transport protocol.
	Protocol model.Protocol
	// Ports and PortRanges are the ports; others of the address are not redirected.
	Ports      []uint16
	PortRanges []model.PortRange
}

// Rule redirects the ports First to Last of an address.
type Rule struct {
	Address     netip.Addr
	Protocol    model.Protocol
	First, Last uint16
}

// String describes a rule as the comment in `nft list ruleset` does.
func (r Rule) String() string {
	if r.First == r.Last {
		return fmt.Sprintf("%s %s %d", r.Address, r.Protocol, r.First)
	}
	return fmt.Sprintf("%s %s %d-%d", r.Address, r.Protocol, r.First, r.Last)
}

// Kernel is the host's nftables. Errors are or wrap the kernel's syscall.Errno.
type Kernel interface {
	// Read returns the rules of our table of a family. intact is false if the table is not as
	// Replace makes it; no table has no rules and is intact.
	Read(ctx context.Context, ipv6 bool) (rules []Rule, intact bool, err error)
	// Replace makes these the rules of our table, in one step; without rules there is no table.
	Replace(ctx context.Context, ipv6 bool, rules []Rule) error
}

// Driver redirects virtual IP addresses. Create it with New.
type Driver struct {
	mu     sync.Mutex
	kernel Kernel
}

// New returns a driver on a kernel: Netfilter or, in tests, a Fake.
func New(kernel Kernel) *Driver { return &Driver{kernel: kernel} }

// Set makes all the redirections of this host and removes every other one in our tables,
// also such of an earlier run. What is not to be changed is not written. Established connections
// go on: connection tracking remembers them. One address that cannot be redirected fails with an
// item error whose Key is the address, and the others are redirected.
func (d *Driver) Set(ctx context.Context, all []Redirection) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	rules, errs := rulesOf(all)
	for _, ipv6 := range []bool{false, true} {
		want := slices.DeleteFunc(slices.Clone(rules), func(r Rule) bool { return r.Address.Is6() != ipv6 })
		if err := d.setFamily(ctx, ipv6, want); err != nil {
			errs = append(errs, fmt.Errorf("redirect: %w%s", err, remedy(err)))
		}
	}
	return errors.Join(errs...)
}

func (d *Driver) setFamily(ctx context.Context, ipv6 bool, want []Rule) error {
	have, intact, err := d.kernel.Read(ctx, ipv6)
	if err != nil {
		return fmt.Errorf("read the table %s: %w", tableName, err)
	}
	if intact && slices.Equal(have, want) {
		return nil
	}
	if err := d.kernel.Replace(ctx, ipv6, want); err != nil {
		return fmt.Errorf("write the table %s: %w", tableName, err)
	}
	return nil
}

// rulesOf returns the rules in ascending order, each once.
func rulesOf(all []Redirection) ([]Rule, []error) {
	var rules []Rule
	var errs []error
	for _, r := range all {
		if err := r.check(); err != nil {
			errs = append(errs, &model.ItemError{Key: r.Address.String(), Reason: ReasonKernelRefused, Err: err})
			continue
		}
		for _, port := range r.Ports {
			rules = append(rules, Rule{r.Address, r.Protocol, port, port})
		}
		for _, p := range r.PortRanges {
			rules = append(rules, Rule{r.Address, r.Protocol, p.First, p.Last})
		}
	}
	slices.SortFunc(rules, compare)
	return slices.Compact(rules), errs
}

func compare(a, b Rule) int {
	if c := a.Address.Compare(b.Address); c != 0 {
		return c
	}
	if c := strings.Compare(string(a.Protocol), string(b.Protocol)); c != 0 {
		return c
	}
	return (int(a.First)-int(b.First))<<16 + int(a.Last) - int(b.Last)
}

// ReasonKernelRefused is the reason of item errors, see model.ItemError.
const ReasonKernelRefused = "KernelRefused"

func (r Redirection) check() error {
	backwards := func(p model.PortRange) bool { return p.First == 0 || p.First > p.Last }
	switch {
	case !r.Address.IsValid() || r.Address.Is4In6() || r.Address.Zone() != "":
		return errors.New("no address that packets can be sent to: write an IPv4 or IPv6 address without zone")
	case r.Protocol != model.TCP && r.Protocol != model.UDP:
		return fmt.Errorf("protocol %q cannot be redirected: write TCP or UDP", r.Protocol)
	case slices.Contains(r.Ports, 0) || slices.ContainsFunc(r.PortRanges, backwards):
		return errors.New("port 0 or a range whose first port is above its last: write ports from 1 to 65535")
	}
	return nil
}

// remedy says what to do about an answer of the kernel; empty if there is nothing to add.
func remedy(err error) string {
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return ": the agent needs the capability NET_ADMIN and the host's network; run it with the shipped manifests"
	case errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.EPROTONOSUPPORT):
		return ": the kernel lacks nftables' NAT (modules nft_chain_nat and nft_redir); load them or prepare the server with an address on lo"
	case errors.Is(err, syscall.EBUSY):
		return ": an older kernel takes no NAT chain while iptables' NAT is loaded; prepare the server with an address on lo"
	}
	return ""
}
