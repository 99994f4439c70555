package procfs

import (
	"fmt"
	"net/netip"
	"strings"

	"pgregory.net/rapid"
)

const heading = "IP Virtual Server version 1.2.1 (size=4096)\n" + columns1 + "\n" + columns2 + "\n"

// printService writes a service as ip_vs_info_seq_show does.
func printService(b *strings.Builder, s *Service) {
	ops := map[bool]string{true: "ops "}[s.OnePacket]
	switch a := s.Address.Addr(); {
	case s.Mark != 0:
		fmt.Fprintf(b, "FWM  %08X %s %s", s.Mark, s.Scheduler, ops)
	case a.Is6():
		fmt.Fprintf(b, "%s  [%s]:%04X %s ", s.Protocol, a.StringExpanded(), s.Address.Port(), s.Scheduler)
	default:
		fmt.Fprintf(b, "%s  %X:%04X %s %s ", s.Protocol, a.AsSlice(), s.Address.Port(), s.Scheduler, ops)
	}
	if s.Persistent {
		fmt.Fprintf(b, "persistent %d %08X", int32(s.Timeout), s.ClientMask)
	}
	b.WriteByte('\n')
	for _, d := range s.Destinations {
		address := fmt.Sprintf("%X", d.Address.Addr().AsSlice())
		if d.Address.Addr().Is6() {
			address = "[" + d.Address.Addr().StringExpanded() + "]"
		}
		fmt.Fprintf(b, "  -> %s:%04X      %-7s %-6d %-10d %-10d\n", address, d.Address.Port(), d.Forward, d.Weight, d.Active, d.Inactive)
	}
}

func drawPort(t *rapid.T) netip.AddrPort {
	n := rapid.SampledFrom([]int{4, 16}).Draw(t, "bytes")
	address, _ := netip.AddrFromSlice(rapid.SliceOfN(rapid.Byte(), n, n).Draw(t, "address"))
	return netip.AddrPortFrom(address, rapid.Uint16().Draw(t, "port"))
}

func drawService(t *rapid.T) Service {
	s := Service{Scheduler: rapid.StringMatching(`[a-z_]{1,15}`).Draw(t, "scheduler")}
	if rapid.Bool().Draw(t, "by mark") {
		s.Mark = rapid.Uint32Min(1).Draw(t, "mark")
	} else {
		s.Protocol, s.Address = rapid.SampledFrom([]string{"TCP", "UDP", "SCTP"}).Draw(t, "protocol"), drawPort(t)
	}
	s.OnePacket = !s.Address.Addr().Is6() && rapid.Bool().Draw(t, "ops")
	if s.Persistent = rapid.Bool().Draw(t, "persistent"); s.Persistent {
		s.Timeout, s.ClientMask = Ticks(rapid.Uint32().Draw(t, "ticks")), rapid.Uint32().Draw(t, "mask")
	}
	count := rapid.IntRange(0, 1<<31-1)
	for range rapid.IntRange(0, 4).Draw(t, "destinations") {
		s.Destinations = append(s.Destinations, Destination{
			Address: drawPort(t), Forward: rapid.SampledFrom([]string{"Route", "Masq", "Tunnel", "Local"}).Draw(t, "forward"),
			Weight: count.Draw(t, "weight"), Active: count.Draw(t, "active"), Inactive: count.Draw(t, "inactive"),
		})
	}
	return s
}

// printConnection writes a connection as ip_vs_conn_seq_show does.
func printConnection(b *strings.Builder, c *Connection, data string) {
	bare := func(a netip.AddrPort) string {
		if a.Addr().Is6() {
			return fmt.Sprintf("%s %04X", a.Addr().StringExpanded(), a.Port())
		}
		return fmt.Sprintf("%X %04X", a.Addr().AsSlice(), a.Port())
	}
	fmt.Fprintf(b, "%-3s %s %s %s %-11s %7d", c.Protocol, bare(c.Client), bare(c.Virtual), bare(c.Destination), c.State, int64(c.Expires.Seconds()))
	if c.Engine != "" {
		fmt.Fprintf(b, " %s %s", c.Engine, data)
	}
	b.WriteByte('\n')
}
