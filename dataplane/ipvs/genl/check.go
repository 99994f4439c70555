package genl

import (
	"fmt"
	"math"
	"net/netip"
)

// check refuses what cannot be written down in a request or what the kernel would take for
// something else; the kernel judges the rest.
func (id ServiceID) check() error {
	byAddress := id.Protocol != 0 || id.Address != netip.AddrPort{}
	switch {
	case id.Mark != 0 && byAddress:
		return fmt.Errorf("%w: a service has a firewall mark or an address, not both", ErrInvalid)
	case id.Mark != 0:
		return nil
	case id.IPv6:
		return fmt.Errorf("%w: IPv6 is for services by firewall mark; a service by address has its address's family", ErrInvalid)
	case id.Protocol != TCP && id.Protocol != UDP && id.Protocol != SCTP:
		return fmt.Errorf("%w: %s: IPVS balances TCP, UDP and SCTP", ErrInvalid, id.Protocol)
	}
	return checkAddress(id.Address.Addr())
}

func checkAddress(a netip.Addr) error {
	switch {
	case !a.IsValid():
		return fmt.Errorf("%w: the address is missing", ErrInvalid)
	case a.Is4In6():
		return fmt.Errorf("%w: address %s: write it as IPv4", ErrInvalid, a)
	case a.Zone() != "":
		return fmt.Errorf("%w: address %s: IPVS knows no zones; take one that is valid beyond the link", ErrInvalid, a)
	}
	return nil
}

func checkName(what, name string) error {
	if name == "" || len(name) >= maxName || !visible(name) {
		return fmt.Errorf("%w: %s %q: a name has 1 to %d characters without spaces", ErrInvalid, what, name, maxName-1)
	}
	return nil
}

func (s *Service) check() error {
	if err := checkName("scheduler", s.Scheduler); err != nil {
		return err
	}
	if s.Engine != "" {
		if err := checkName("persistence engine", s.Engine); err != nil {
			return err
		}
	}
	least, most := 0, 32
	if s.Is6() {
		least, most = 1, 128
	}
	if s.PrefixLength < least || s.PrefixLength > most {
		return fmt.Errorf("%w: prefix length %d: write %d to %d", ErrInvalid, s.PrefixLength, least, most)
	}
	if s.TimeoutSeconds > MaxTimeoutSeconds {
		return fmt.Errorf("%w: persistence of %d s: write at most %d s", ErrInvalid, s.TimeoutSeconds, MaxTimeoutSeconds)
	}
	return nil
}

func (d *Destination) check() error {
	switch {
	case d.Weight < 0 || d.Weight > math.MaxInt32:
		return fmt.Errorf("%w: weight %d: write 0 to %d", ErrInvalid, d.Weight, math.MaxInt32)
	case d.LowerThreshold > d.UpperThreshold:
		return fmt.Errorf("%w: lower threshold %d is above the upper one, %d", ErrInvalid, d.LowerThreshold, d.UpperThreshold)
	case d.Forward > Bypass:
		return fmt.Errorf("%w: forwarding %s: write Masquerade, LocalNode, Tunnel, DirectRoute or Bypass", ErrInvalid, d.Forward)
	}
	return checkAddress(d.Address.Addr())
}

func (d *Daemon) check() error {
	if d.Role != Master && d.Role != Backup {
		return fmt.Errorf("%w: a daemon is Master or Backup, not %s", ErrInvalid, d.Role)
	}
	if d.SyncID > 255 {
		return fmt.Errorf("%w: synchronisation ID %d: write 0 to 255", ErrInvalid, d.SyncID)
	}
	if d.Group.IsValid() && !d.Group.IsMulticast() {
		return fmt.Errorf("%w: group %s is no multicast address", ErrInvalid, d.Group)
	}
	return checkName("interface", d.Interface)
}
