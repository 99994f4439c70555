package nft_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/nft"
)

// few addresses and ports, so that services meet.
const highestPort = 12

func drawPorts(rt *rapid.T) ([]uint16, []model.PortRange) {
	port := rapid.Uint16Range(1, highestPort)
	span := rapid.Custom(func(rt *rapid.T) model.PortRange {
		first := port.Draw(rt, "first")
		return model.PortRange{First: first, Last: rapid.Uint16Range(first, highestPort).Draw(rt, "last")}
	})
	return rapid.SliceOfN(port, 1, 3).Draw(rt, "ports"), rapid.SliceOfN(span, 0, 2).Draw(rt, "ranges")
}

func drawMatch(rt *rapid.T, six bool) model.Match {
	text := []string{"192.0.2.100", "192.0.2.101"}
	if six {
		text = []string{"2001:db8::100", "2001:db8::101"}
	}
	m := model.Match{
		Addresses: addresses(rapid.SliceOfNDistinct(rapid.SampledFrom(text), 1, 2, rapid.ID).Draw(rt, "addresses")...),
		Protocol:  rapid.SampledFrom([]model.Protocol{model.TCP, model.UDP}).Draw(rt, "protocol"),
	}
	m.Ports, m.PortRanges = drawPorts(rt)
	return m
}

func drawService(rt *rapid.T, mark int) model.VirtualService {
	six := rapid.Bool().Draw(rt, "six")
	m := drawMatch(rt, six)
	s := model.VirtualService{
		Key: fmt.Sprint(mark), Mark: uint32(mark), Addresses: m.Addresses, Protocol: m.Protocol, Ports: m.Ports, PortRanges: m.PortRanges,
		Forwarding: rapid.SampledFrom([]model.Forwarding{model.DirectRouting, model.Tunnel, model.NAT, model.SNAT}).Draw(rt, "forwarding"),
	}
	if rapid.Bool().Draw(rt, "grouped") {
		s.Also = []model.Match{drawMatch(rt, six)}
	}
	return s
}

func drawDesired(rt *rapid.T) nft.Desired {
	var d nft.Desired
	for i := range rapid.IntRange(0, 4).Draw(rt, "services") {
		d.Services = append(d.Services, drawService(rt, i+1))
	}
	all := everything()
	if rapid.Bool().Draw(rt, "guard") {
		d.Guarded = all.Guarded
		d.Declared = []model.Match{drawMatch(rt, false), drawMatch(rt, false), drawMatch(rt, true)}
	}
	if rapid.Bool().Draw(rt, "others") {
		d.PeerMACs, d.Resets, d.Clamps = all.PeerMACs, all.Resets, all.Clamps
	}
	return d
}

// answers tells whether a service answers a port, by the most simple reckoning.
func answers(s *model.VirtualService, a netip.Addr, p model.Protocol, port uint16) bool {
	for _, m := range s.Matches() {
		if names(m, a, p, port) {
			return true
		}
	}
	return false
}

func names(m model.Match, a netip.Addr, p model.Protocol, port uint16) bool {
	here, inside := false, false
	for _, address := range m.Addresses {
		here = here || address == a
	}
	for _, one := range m.Ports {
		inside = inside || one == port
	}
	for _, r := range m.PortRanges {
		inside = inside || r.First <= port && port <= r.Last
	}
	return here && inside && m.Protocol == p
}

// expected is the mark of the first service that could be programmed and answers; a service
// that shares a port with an earlier one was refused.
func expected(all []model.VirtualService, refused map[string]*model.ItemError, a netip.Addr, p model.Protocol, port uint16) uint32 {
	for i := range all {
		if refused[all[i].Key] == nil && answers(&all[i], a, p, port) {
			return all[i].Mark
		}
	}
	return 0
}

// lookUp does what the kernel does with the sets whose names begin so.
func lookUp(t *nft.Table, hash, interval string, a netip.Addr, protocol byte, port uint16) (value string, found int) {
	key := string(a.AsSlice()) + string([]byte{protocol, 0, 0, 0}) + string(binary.BigEndian.AppendUint16(nil, port)) + "\x00\x00"
	for _, e := range t.Elements {
		exact := strings.HasPrefix(e.Set, hash) && e.Key == key
		within := strings.HasPrefix(e.Set, interval) && e.End[:len(e.End)-4] == key[:len(key)-4] && e.Key <= key && key <= e.End && len(e.Key) == len(key)
		if exact || within {
			value, found = e.Value, found+1
		}
	}
	return value, found
}

func checkLookups(rt *rapid.T, t *nft.Table, d nft.Desired, refused map[string]*model.ItemError) {
	for _, a := range addresses("192.0.2.100", "192.0.2.101", "2001:db8::100", "2001:db8::101") {
		for p, number := range map[model.Protocol]byte{model.TCP: 6, model.UDP: 17} {
			for port := uint16(0); port <= highestPort+1; port++ {
				checkLookup(rt, t, d, refused, a, p, number, port)
			}
		}
	}
}

func checkLookup(rt *rapid.T, t *nft.Table, d nft.Desired, refused map[string]*model.ItemError, a netip.Addr, p model.Protocol, number byte, port uint16) {
	want := expected(d.Services, refused, a, p, port)
	value, found := lookUp(t, "services", "ranges", a, number, port)
	if got := append([]byte(value), 0, 0, 0, 0); binary.NativeEndian.Uint32(got) != want || found > 1 {
		rt.Fatalf("%s %s %d: mark %d from %d elements, want %d", a, p, port, binary.NativeEndian.Uint32(got), found, want)
	}
	open := want != 0
	for _, m := range d.Declared {
		open = open || names(m, a, p, port)
	}
	_, found = lookUp(t, "open4", "openranges4", a, number, port)
	_, found6 := lookUp(t, "open6", "openranges6", a, number, port)
	if wanted := open && len(d.Guarded) > 0; (found+found6 == 1) != wanted {
		rt.Fatalf("%s %s %d: open by %d elements, want %v", a, p, port, found+found6, wanted)
	}
}

// TestAnyStateConvergesInOneCall starts from any table, altered or not, and none.
func TestAnyStateConvergesInOneCall(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		fake := &nft.Fake{}
		driver := nft.New(nft.Config{Kernel: fake})
		_ = driver.Set(rt.Context(), drawDesired(rt)) // item errors are for below
		if fake.Elements("truepacs") != nil && rapid.Bool().Draw(rt, "altered") {
			fake.Damage("truepacs")
		}
		want := drawDesired(rt)
		refused, rest := model.ItemErrors(driver.Set(rt.Context(), want))
		if rest != nil {
			rt.Fatal(rest)
		}
		for i := range want.Services {
			checkRefusal(rt, want.Services[:i+1], refused)
		}
		shape := fake.Shape("truepacs")
		table, err := fake.Read(rt.Context(), "truepacs", shape)
		if err != nil {
			rt.Fatal(err)
		}
		if table == nil {
			table = &nft.Table{}
		}
		checkLookups(rt, table, want, refused)
		before := fake.Writes()
		if _, rest := model.ItemErrors(driver.Set(rt.Context(), want)); rest != nil || fake.Writes() != before {
			rt.Fatalf("second call: %v, %d writes", rest, fake.Writes()-before)
		}
	})
}

// checkRefusal checks that the last service was refused exactly if it shares a port with one
// that was not.
func checkRefusal(rt *rapid.T, all []model.VirtualService, refused map[string]*model.ItemError) {
	last := &all[len(all)-1]
	shares := false
	for _, a := range addresses("192.0.2.100", "192.0.2.101", "2001:db8::100", "2001:db8::101") {
		for _, p := range []model.Protocol{model.TCP, model.UDP} {
			for port := uint16(1); port <= highestPort; port++ {
				shares = shares || answers(last, a, p, port) && expected(all[:len(all)-1], refused, a, p, port) != 0
			}
		}
	}
	if shares != (refused[last.Key] != nil) {
		rt.Fatalf("service %s shares a port: %v; refused: %v", last.Key, shares, refused[last.Key])
	}
}
