package ipvs

import (
	"context"
	"fmt"
	"net/netip"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
)

// fakeRate is the fake kernel's clock in ticks a second.
const fakeRate = 250

// Table implements Kernel: ip_vs_info_seq_show of ip_vs_ctl.c.
func (f *Fake) Table(ctx context.Context, b []byte) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads.Tables++
	if err := f.missing(); err != nil {
		return b, err
	}
	b = append(b, "IP Virtual Server version 1.2.1 (size=4096)\nProt LocalAddress:Port Scheduler Flags\n"+
		"  -> RemoteAddress:Port Forward Weight ActiveConn InActConn\n"...)
	for _, s := range f.services {
		if f.Unshown != nil && f.Unshown(s.ServiceID) {
			continue
		}
		b = s.show(b)
		for _, d := range s.destinations {
			b = fmt.Appendf(b, "  -> %s      %-7s %-6d %-10d %-10d\n", shownAddress(d.Address), d.Forward, d.Weight, d.Active, d.Inactive)
		}
	}
	return b, ctx.Err()
}

func (s *fakeService) show(b []byte) []byte {
	ops := ""
	if s.Flags&genl.FlagOnePacket != 0 {
		ops = "ops "
	}
	switch {
	case s.Mark != 0:
		b = fmt.Appendf(b, "FWM  %08X %s %s", s.Mark, s.Scheduler, ops)
	case s.Is6():
		b = fmt.Appendf(b, "%s  %s %s ", s.Protocol, shownAddress(s.Address), s.Scheduler)
	default:
		b = fmt.Appendf(b, "%s  %s %s %s ", s.Protocol, shownAddress(s.Address), s.Scheduler, ops)
	}
	if s.Flags&genl.FlagPersistent != 0 {
		b = fmt.Appendf(b, "persistent %d %08X", int32(s.TimeoutSeconds*fakeRate), clientMask(&present{service: s.Service}))
	}
	return append(b, '\n')
}

func shownAddress(a netip.AddrPort) string {
	if a.Addr().Is6() {
		return fmt.Sprintf("[%s]:%04X", a.Addr().StringExpanded(), a.Port())
	}
	return fmt.Sprintf("%X:%04X", a.Addr().AsSlice(), a.Port())
}
