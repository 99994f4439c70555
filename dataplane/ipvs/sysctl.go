package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/settings"
)

// DefaultSysctlDir is where the kernel shows the settings of IPVS.
const DefaultSysctlDir = "/proc/sys/net/ipv4/vs"

// use is what the services of the last Set need of the host.
type use struct {
	nat  bool // a server is reached by NAT or SNAT
	hash bool // a scheduler finds the server from the client alone
}

// setting is one of net.ipv4.vs that services need (Documentation/networking/ipvs-sysctl.rst of the
// kernel); better returns the value to set for the one that is there.
type setting struct {
	name   string
	needed func(use) bool
	better func(int) int
}

// sysctls are all that we touch.
func sysctls() []setting {
	always := func(use) bool { return true }
	one := func(int) int { return 1 }
	return []setting{
		// A server that takes no new connections must lose its persistent clients too, else they
		// come back to it for as long as they are remembered.
		{"expire_quiescent_template", always, one},
		// A server that is gone, as one in maintenance is: without this the packets of its
		// connections are dropped in silence until they time out; with it the entry ends with the
		// first packet, and a client that connects again is scheduled anew.
		{"expire_nodest_conn", always, one},
		// With direct routing the director never sees a connection end from the server's side, so a
		// connection that reuses a client's port meets the old one in FIN_WAIT: bit 2 lets such a
		// one be scheduled anew, bit 1 all others. 0 would give new connections to servers that are
		// drained.
		{"conn_reuse_mode", always, func(now int) int { return now | 3 }},
		// A director that takes over does not know all connections. Where the server follows from
		// the client's address (mh, sh) it may take them up in their middle; elsewhere that would
		// give them to another server.
		{"sloppy_tcp", func(u use) bool { return u.hash }, one},
		// ICMP about a connection that this director does not know (packet too big, above all) goes to
		// the server that the connection would go to. That helps services by address, so those of
		// others: IPVS finds a service by mark (ip_vs_service_find) by the mark of the ICMP packet
		// itself, and ours marks no ICMP. Such a packet ends here. Marked by the header that it quotes, it
		// would make an entry that binds the client to whichever server the scheduler chooses, at the word of
		// anybody who forges one; only where the server follows from the client (mh, sh) is it the right one.
		// ICMP about connections that have an entry goes to their server without any mark.
		{"schedule_icmp", always, one},
		// NAT rules of nftables, which L4SNAT is made of, see only packets that have an entry in the
		// table of nf_conntrack. Direct routing alone needs none and is spared the cost.
		{"conntrack", func(u use) bool { return u.nat }, one},
		// A packet too big for the tunnel to a server makes the director say so to the client (the
		// kernel's own choice, too); without, they are cut in pieces or lost.
		{"pmtu_disc", always, one},
	}
}

func (d *Driver) use() use {
	var u use
	for i := range d.wishes {
		s := &d.wishes[i]
		u.hash = u.hash || s.Scheduler == model.SourceHash || s.Scheduler == model.MaglevHash
		for _, server := range s.Servers {
			how := forwarding(s, server)
			u.nat = u.nat || how == model.NAT || how == model.SNAT
		}
	}
	return u
}

// neededSysctls are those that the services of the last Set need, as they have to be.
func (d *Driver) neededSysctls(ctx context.Context) ([]settings.Setting, error) {
	var all []settings.Setting
	var errs []error
	u := d.use()
	for _, s := range sysctls() {
		if !s.needed(u) {
			continue
		}
		text, err := d.host.files.Read(ctx, s.name)
		if err != nil {
			errs = append(errs, explainSetting(settings.Setting{Name: s.name}, err))
			continue
		}
		now, err := strconv.Atoi(text)
		if err != nil {
			errs = append(errs, explainSetting(settings.Setting{Name: s.name}, err))
			continue
		}
		all = append(all, settings.Setting{Name: s.name, Value: strconv.Itoa(s.better(now))})
	}
	return all, errors.Join(errs...)
}

func sysctlError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: load IPVS with `modprobe ip_vs`; in a container mount the host's /proc/sys/net/ipv4/vs", err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: the agent cannot write it; set it on the host in /etc/sysctl.d, or mount the host's /proc/sys/net/ipv4/vs writable", err)
	}
	return err
}
