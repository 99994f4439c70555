package ipvstest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/model"
)

func pick[T any](r *rand.Rand, from ...T) T { return from[r.IntN(len(from))] }

// Wanted returns up to six services of any kind, the same for the same seed.
func Wanted(r *rand.Rand) []model.VirtualService {
	var all []model.VirtualService
	for mark := uint32(0x54000001); mark <= 0x54000006; mark++ {
		if r.IntN(3) == 0 {
			continue
		}
		s := wantedService(r, mark)
		all = append(all, s)
		if r.IntN(4) == 0 {
			twin := s
			twin.Addresses = []netip.Addr{netip.MustParseAddr(pick(r, "192.0.2.100", "2001:db8::100"))}
			if twin.IPv6() == s.IPv6() {
				continue
			}
			twin.Persistence, twin.Servers = nil, servers(r, &twin)
			all = append(all, twin)
		}
	}
	return all
}

func wantedService(r *rand.Rand, mark uint32) model.VirtualService {
	s := model.VirtualService{
		Key: fmt.Sprintf("imaging/random/%x", mark), Mark: mark, Protocol: pick(r, model.TCP, model.UDP), Ports: []uint16{104},
		Addresses:  []netip.Addr{netip.MustParseAddr(pick(r, "192.0.2.100", "192.0.2.100", "2001:db8::100"))},
		Forwarding: pick(r, model.DirectRouting, model.DirectRouting, model.Tunnel, model.NAT, model.SNAT),
		Scheduler:  pick[model.Scheduler](r, "rr", "wrr", "lc", "wlc", "sh", "mh", "sed", "nq", "fo", "ovf"),
	}
	if s.Scheduler == "sh" || s.Scheduler == "mh" {
		s.SchedulerFlags = model.SchedulerFlags{Fallback: r.IntN(2) == 0, Port: r.IntN(2) == 0}
	}
	switch {
	case r.IntN(2) == 0:
		s.Persistence = &model.Persistence{Timeout: time.Duration(1+r.IntN(4000)) * time.Second, PrefixLength: 1 + r.IntN(32)}
	case s.Protocol == model.UDP:
		s.OnePacket = r.IntN(2) == 0
	}
	s.Servers = servers(r, &s)
	return s
}

func servers(r *rand.Rand, s *model.VirtualService) []model.RealServer {
	var all []model.RealServer
	for octet := byte(11); octet <= 14; octet++ {
		if r.IntN(3) == 0 {
			continue
		}
		one := model.RealServer{Name: fmt.Sprint("server", octet), Address: netip.AddrFrom4([4]byte{192, 0, 2, octet}), Weight: r.IntN(4)}
		if s.IPv6() {
			one.Address = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: octet})
		}
		if r.IntN(4) == 0 {
			one.Forwarding = pick(r, model.DirectRouting, model.Tunnel, model.NAT, model.SNAT)
		}
		if how := one.Forwarding; s.Persistence == nil && (how == model.NAT || how == "" && s.Forwarding == model.NAT) {
			one.Port = pick[uint16](r, 0, 104, 11112)
		}
		if r.IntN(4) == 0 {
			one.MaxConnections = uint32(1 + r.IntN(100))
			one.MinConnections = uint32(r.IntN(int(one.MaxConnections)))
		}
		one.State = pick(r, model.Active, model.Active, model.Active, model.Drain, model.Maintenance)
		all = append(all, one)
	}
	return all
}

// expected are the lines of a Table of what is wanted, made without the driver.
func expected(all []model.VirtualService) []string {
	var lines []string
	for _, v := range all {
		s := genl.Service{ServiceID: genl.ByMark(v.Mark, v.IPv6()), Scheduler: string(v.Scheduler)}
		for flag, on := range map[genl.Flags]bool{
			genl.FlagPersistent: v.Persistence != nil, genl.FlagOnePacket: v.OnePacket,
			genl.FlagFallback: v.SchedulerFlags.Fallback, genl.FlagPort: v.SchedulerFlags.Port,
		} {
			if on {
				s.Flags |= flag
			}
		}
		s.PrefixLength = map[bool]int{false: 32, true: 128}[v.IPv6()]
		if v.Persistence != nil {
			s.TimeoutSeconds, s.PrefixLength = uint32(v.Persistence.Timeout/time.Second), v.Persistence.PrefixLength
		}
		var found []genl.Destination
		for _, o := range v.Servers {
			if o.State != model.Maintenance {
				found = append(found, expectedServer(&v, o))
			}
		}
		lines = append(lines, Lines(s, found)...)
	}
	return lines
}

func expectedServer(v *model.VirtualService, o model.RealServer) genl.Destination {
	d := genl.Destination{
		Address: netip.AddrPortFrom(o.Address, o.Port), Weight: o.Weight,
		UpperThreshold: o.MaxConnections, LowerThreshold: o.MinConnections,
	}
	if o.Forwarding == "" {
		o.Forwarding = v.Forwarding
	}
	d.Forward = map[model.Forwarding]genl.Forward{
		model.DirectRouting: genl.DirectRoute, model.Tunnel: genl.Tunnel, model.NAT: genl.Masquerade, model.SNAT: genl.Masquerade,
	}[o.Forwarding]
	if o.Port == v.Ports[0] {
		d.Address = netip.AddrPortFrom(o.Address, 0)
	}
	if o.State == model.Drain {
		d.Weight = 0
	}
	return d
}

// Before returns changes that leave a kernel in some state: an earlier set of services, half of a
// train of changes towards what is wanted, leftovers, what others have changed of ours, and services
// of others. Some of the changes fail.
func Before(t testing.TB, r *rand.Rand, wanted []model.VirtualService) []genl.Change {
	t.Helper()
	fake := &ipvs.Fake{}
	for _, all := range [][]model.VirtualService{Wanted(r), wanted} {
		part := &partial{Fake: fake, left: r.IntN(30)}
		_ = ipvs.New(ipvs.Config{Kernel: part}).Set(t.Context(), all)
	}
	changes := fake.Changes()
	for range r.IntN(12) {
		changes = append(changes, meddle(r))
	}
	return changes
}

// partial is a kernel that carries out so many changes and no more.
type partial struct {
	*ipvs.Fake
	left int
}

// Apply implements ipvs.Kernel.
func (p *partial) Apply(ctx context.Context, changes []genl.Change) []error {
	n := min(p.left, len(changes))
	p.left -= n
	results := p.Fake.Apply(ctx, changes[:n])
	for range len(changes) - n {
		results = append(results, genl.ErrPermission)
	}
	return results
}

// meddle is a change of any service, ours or not, to anything.
func meddle(r *rand.Rand) genl.Change {
	is6 := r.IntN(4) == 0
	id := genl.ByMark(0x54000001+uint32(r.IntN(9)), is6)
	switch r.IntN(4) {
	case 0:
		id = genl.ByMark(1+uint32(r.IntN(3)), is6)
	case 1:
		id, is6 = genl.ByAddress(genl.TCP, netip.MustParseAddrPort(pick(r, "198.51.100.1:80", "198.51.100.2:104"))), false
	}
	s := genl.Service{
		ServiceID: id, Scheduler: pick(r, "rr", "wlc", "sh", "mh", "fo"), PrefixLength: 1 + r.IntN(32),
		Flags: genl.Flags(r.IntN(32)) &^ 2, TimeoutSeconds: uint32(1 + r.IntN(1000)),
	}
	address := netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + r.IntN(6))})
	if is6 {
		address = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(11 + r.IntN(6))})
	}
	d := genl.Destination{
		Address: netip.AddrPortFrom(address, pick[uint16](r, 0, 0, 104)), Weight: r.IntN(5),
		Forward: pick(r, genl.Masquerade, genl.Tunnel, genl.DirectRoute), UpperThreshold: uint32(pick(r, 0, 0, 7)),
	}
	if d.Forward == genl.Tunnel && r.IntN(2) == 0 {
		d.Tunnel = genl.TunnelSettings{Type: genl.GUE, Port: 6080}
	}
	command := pick(r, genl.NewService, genl.NewService, genl.SetService, genl.NewDest, genl.NewDest, genl.SetDest, genl.DelDest)
	return genl.Change{Command: command, Service: s, Destination: d}
}

// Converge puts a kernel without services into the state that a seed stands for and has one pass
// bring it to what is wanted; witness, which may be nil, tells of the services of others in its own
// words. A second pass writes nothing.
func Converge(t testing.TB, k ipvs.Kernel, seed uint64, witness func() string) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 3))
	wanted := Wanted(r)
	_ = k.Apply(t.Context(), Before(t, r, wanted))
	before := Table(t, k)
	others := slices.DeleteFunc(slices.Clone(before), ours)
	said := ""
	if witness != nil {
		said = witness()
	}
	spy := &Kernel{Kernel: k}
	driver := ipvs.New(ipvs.Config{Kernel: spy})
	if err := driver.Set(t.Context(), wanted); err != nil {
		t.Fatalf("seed %d: %v", seed, err)
	}
	want := slices.Concat(others, expected(wanted))
	slices.Sort(want)
	if diff := cmp.Diff(want, Table(t, k)); diff != "" {
		t.Fatalf("seed %d: after one pass from\n%q\nthe table has (-want +got):\n%s", seed, before, diff)
	}
	if witness != nil && witness() != said {
		t.Fatalf("seed %d: services of others were\n%sand are\n%s", seed, said, witness())
	}
	spy.steps = nil
	for _, d := range []*ipvs.Driver{driver, ipvs.New(ipvs.Config{Kernel: spy})} {
		if err := d.Set(t.Context(), wanted); err != nil || len(spy.steps) > 0 {
			t.Fatalf("seed %d: the second pass: %v, %v", seed, err, spy.steps)
		}
	}
}

// ours tells whether a line of a Table is about a service of ours.
func ours(line string) bool { return len(line) > 18 && line[:18] == "firewall mark 0x54" }
