package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/truepacs/balancer/dataplane/model"
)

// DefaultSysctlDir is where the kernel shows the settings of IPVS.
const DefaultSysctlDir = "/proc/sys/net/ipv4/vs"

// Setting is a setting of IPVS (Documentation/networking/ipvs-sysctl.rst of the kernel) that was
// changed.
type Setting struct {
	// Name is the setting's name below net.ipv4.vs, Old the value it had and New the one it got.
	Name, Old, New string
}

// use is what the services of the last Set need of the host.
type use struct {
	nat     bool // a server is reached by NAT or SNAT
	hash    bool // a scheduler finds the server from the client alone
	foreign bool // there are services of others, whose settings are not ours to take back
}

// setting is one that we need; better returns the value to set for the one that is there.
type setting struct {
	name   string
	better func(int, use) int
}

// settings are all that we touch.
func settings() []setting {
	always := func(int, use) int { return 1 }
	return []setting{
		// A server that takes no new connections must lose its persistent clients too, else they
		// come back to it for as long as they are remembered.
		{"expire_quiescent_template", always},
		// A server that is gone, as one in maintenance is: without this the packets of its
		// connections are dropped in silence until they time out; with it the entry ends with the
		// first packet, and a client that connects again is scheduled anew.
		{"expire_nodest_conn", always},
		// With direct routing the director never sees a connection end from the server's side, so a
		// connection that reuses a client's port meets the old one in FIN_WAIT: bit 2 lets such a
		// one be scheduled anew, bit 1 all others. 0 would give new connections to servers that are
		// drained.
		{"conn_reuse_mode", func(now int, _ use) int { return now | 3 }},
		// A director that takes over does not know all connections. Where the server follows from
		// the client's address (mh, sh) it may take them up in their middle; elsewhere that would
		// give them to another server.
		{"sloppy_tcp", func(now int, u use) int { return when(u.hash, now, u) }},
		// ICMP about a connection that this director does not know (packet too big, above all) goes to
		// the server that the connection would go to. That helps services by address, so those of
		// others: IPVS finds a service by mark (ip_vs_service_find) by the mark of the ICMP packet
		// itself, and ours marks no ICMP. Such a packet ends here. Marked by the header that it quotes, it
		// would make an entry that binds the client to whichever server the scheduler chooses, at the word of
		// anybody who forges one; only where the server follows from the client (mh, sh) is it the right one.
		// ICMP about connections that have an entry goes to their server without any mark.
		{"schedule_icmp", always},
		// NAT rules of nftables, which L4SNAT is made of, see only packets that have an entry in the
		// table of nf_conntrack. Direct routing alone needs none and is spared the cost.
		{"conntrack", func(now int, u use) int { return when(u.nat, now, u) }},
		// A packet too big for the tunnel to a server makes the director say so to the client (the
		// kernel's own choice, too); without, they are cut in pieces or lost.
		{"pmtu_disc", always},
	}
}

// when returns 1 if a setting is needed; if not, it is taken back where all services are ours.
func when(needed bool, now int, u use) int {
	switch {
	case needed:
		return 1
	case u.foreign:
		return now
	}
	return 0
}

func (d *Driver) use() use {
	u := use{foreign: d.memory.foreign}
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

// SetSysctls sets what the services of the last Set need of IPVS, and returns what it changed, so
// that the caller can remember and some day restore it. It writes only what differs. Settings that
// fail do not stop the others. They belong to the whole host.
func (d *Driver) SetSysctls(ctx context.Context) ([]Setting, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var changed []Setting
	var errs []error
	u := d.use()
	for _, s := range settings() {
		err := ctx.Err()
		var change *Setting
		if err == nil {
			change, err = d.setSysctl(s, u)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("ipvs: net.ipv4.vs.%s: %w", s.name, err))
		}
		if change != nil {
			changed = append(changed, *change)
		}
	}
	return changed, errors.Join(errs...)
}

func (d *Driver) setSysctl(s setting, u use) (*Setting, error) {
	path := filepath.Join(d.config.SysctlDir, s.name)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && s.better(0, u) == 0 {
		return nil, nil // a kernel without it (CONFIG_IP_VS_NFCT) does what is wanted
	}
	if err != nil {
		return nil, sysctlError(err)
	}
	old := strings.TrimSpace(string(b))
	now, err := strconv.Atoi(old)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	want := s.better(now, u)
	if want == now {
		return nil, nil
	}
	if err := write(path, strconv.Itoa(want)); err != nil {
		return nil, sysctlError(err)
	}
	return &Setting{Name: s.name, Old: old, New: strconv.Itoa(want)}, nil
}

// write does not create the file: a folder that is not the kernel's would hide a mistake.
func write(path, value string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(value)
	return errors.Join(err, file.Close())
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
