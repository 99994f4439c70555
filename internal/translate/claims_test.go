package translate_test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/translate"
)

var vip, rip = netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.11")

// at makes endpoints of one address.
func at(ports ...uint16) []translate.Endpoint {
	var out []translate.Endpoint
	for _, p := range ports {
		out = append(out, translate.Endpoint{Addr: vip, Protocol: model.TCP, First: p, Last: p})
	}
	return out
}

// from makes one endpoint of a range of ports.
func from(first, last uint16) []translate.Endpoint {
	return []translate.Endpoint{{Addr: vip, Protocol: model.TCP, First: first, Last: last}}
}

func claim(service string, wanted, standing []translate.Endpoint) translate.Claim {
	return translate.Claim{Service: service,
		Wanted: translate.Demand{Director: "a", Ports: wanted}, Standing: translate.Demand{Director: "a", Ports: standing}}
}

// behind gives a claim servers' ports that it reaches with an address of the director.
func behind(c translate.Claim, source v1alpha1.Mode, wanted, standing uint16) translate.Claim {
	server := func(port uint16) []translate.Endpoint {
		if port == 0 {
			return nil
		}
		return []translate.Endpoint{{Addr: rip, Protocol: model.TCP, First: port, Last: port}}
	}
	c.Wanted.Source, c.Wanted.Servers = source, server(wanted)
	c.Standing.Source, c.Standing.Servers = source, server(standing)
	return c
}

func TestConflicts(t *testing.T) {
	refused := func(c translate.Claim) translate.Claim { c.Refused = true; return c }
	moving := func(c translate.Claim) translate.Claim { c.Wanted.Director = "b"; return c }
	udp := func(c translate.Claim) translate.Claim { c.Wanted.Ports[0].Protocol = model.UDP; return c }
	gateway := func(c translate.Claim) translate.Claim { c.Gateway = true; return c }
	l7, snat := v1alpha1.ModeL7SNAT, v1alpha1.ModeL4SNAT
	for name, tc := range map[string]struct {
		claims []translate.Claim
		want   map[string]string
	}{
		"none":                      {nil, map[string]string{}},
		"different ports":           {[]translate.Claim{claim("x", at(1), nil), claim("y", at(2), nil)}, map[string]string{}},
		"the older wins":            {[]translate.Claim{claim("x", at(1, 2), nil), claim("y", at(2, 3), nil)}, map[string]string{"y": v1alpha1.ReasonPortConflict}},
		"all or nothing":            {[]translate.Claim{claim("x", at(1, 2), nil), claim("y", at(2, 3), nil), claim("z", at(3), nil)}, map[string]string{"y": v1alpha1.ReasonPortConflict}},
		"the programmed stands":     {[]translate.Claim{claim("x", at(1), nil), claim("y", at(1), at(1))}, map[string]string{"x": v1alpha1.ReasonPortConflict}},
		"released":                  {[]translate.Claim{claim("x", at(1), nil), claim("y", at(2), at(1))}, map[string]string{}},
		"not released when refused": {[]translate.Claim{claim("x", at(1), nil), refused(claim("y", at(2), at(1)))}, map[string]string{"x": v1alpha1.ReasonPortConflict}},
		"refusal keeps the old": {[]translate.Claim{claim("x", at(1), nil), claim("y", at(2), at(1)), claim("z", at(2), at(2))},
			map[string]string{"x": v1alpha1.ReasonPortConflict, "y": v1alpha1.ReasonPortConflict}},
		"exchange":                 {[]translate.Claim{claim("x", at(2), at(1)), claim("y", at(1), at(2))}, map[string]string{}},
		"other director":           {[]translate.Claim{claim("x", at(1), nil), moving(claim("y", at(2), nil))}, map[string]string{"y": v1alpha1.ReasonDirectorConflict}},
		"both move":                {[]translate.Claim{moving(claim("x", at(1), at(1))), moving(claim("y", at(2), at(2)))}, map[string]string{}},
		"one cannot move":          {[]translate.Claim{refused(moving(claim("x", at(1), at(1)))), moving(claim("y", at(2), at(2)))}, map[string]string{"y": v1alpha1.ReasonDirectorConflict}},
		"who stays, stays":         {[]translate.Claim{moving(claim("x", at(2), at(2))), claim("y", at(1), at(1))}, map[string]string{"x": v1alpha1.ReasonDirectorConflict}},
		"TCP and UDP":              {[]translate.Claim{claim("x", at(53), nil), udp(claim("y", at(53), nil))}, map[string]string{}},
		"a port in a range":        {[]translate.Claim{claim("x", from(1000, 2000), nil), claim("y", at(2000), nil), claim("z", at(2001), nil)}, map[string]string{"y": v1alpha1.ReasonPortConflict}},
		"a range around a port":    {[]translate.Claim{claim("x", at(1500), nil), claim("y", from(1000, 2000), nil)}, map[string]string{"y": v1alpha1.ReasonPortConflict}},
		"a range that stands":      {[]translate.Claim{claim("x", at(1500), nil), claim("y", from(1000, 2000), from(1400, 1600))}, map[string]string{"x": v1alpha1.ReasonPortConflict}},
		"a gateway and a service":  {[]translate.Claim{claim("x", at(1), nil), gateway(claim("g", from(1, 65535), nil))}, map[string]string{"g": v1alpha1.ReasonPortConflict}},
		"two gateways":             {[]translate.Claim{gateway(claim("g", from(1, 65535), nil)), gateway(claim("h", from(1, 65535), nil))}, map[string]string{}},
		"L7 before L4SNAT":         {[]translate.Claim{behind(claim("x", at(1), nil), l7, 104, 0), behind(claim("y", at(2), nil), snat, 104, 0)}, map[string]string{"y": v1alpha1.ReasonServerConflict}},
		"L4SNAT before L7":         {[]translate.Claim{behind(claim("x", at(1), nil), snat, 104, 0), behind(claim("y", at(2), nil), l7, 104, 0)}, map[string]string{"y": v1alpha1.ReasonServerConflict}},
		"the programmed L7 stands": {[]translate.Claim{behind(claim("x", at(1), nil), snat, 104, 0), behind(claim("y", at(2), at(2)), l7, 104, 104)}, map[string]string{"x": v1alpha1.ReasonServerConflict}},
		"other ports of a server":  {[]translate.Claim{behind(claim("x", at(1), nil), snat, 104, 0), behind(claim("y", at(2), nil), l7, 8042, 0)}, map[string]string{}},
		"two L7 share a server":    {[]translate.Claim{behind(claim("x", at(1), nil), l7, 104, 0), behind(claim("y", at(2), nil), l7, 104, 0)}, map[string]string{}},
		"L7 leaves the server":     {[]translate.Claim{behind(claim("x", at(1), nil), snat, 104, 0), behind(claim("y", at(2), at(2)), l7, 8042, 104)}, map[string]string{}},
		"one alone may go":         {[]translate.Claim{moving(claim("x", at(1), at(1)))}, map[string]string{}},
	} {
		t.Run(name, func(t *testing.T) {
			got := map[string]string{}
			for service, r := range translate.Conflicts(tc.claims) {
				got[service] = r.Reason
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// drawClaims makes claims whose standing parts do not overlap, as what is programmed never does.
func drawClaims(t *rapid.T) []translate.Claim {
	port := rapid.Uint16Range(1, 6)
	var claims []translate.Claim
	standing := map[uint16]bool{}
	for i := range rapid.IntRange(0, 7).Draw(t, "claims") {
		var held []uint16
		for _, p := range rapid.SliceOfNDistinct(port, 0, 3, rapid.ID).Draw(t, "standing") {
			if !standing[p] {
				standing[p] = true
				held = append(held, p)
			}
		}
		wanted := at(rapid.SliceOfNDistinct(port, 1, 4, rapid.ID).Draw(t, "wanted")...)
		if rapid.IntRange(0, 3).Draw(t, "range") == 0 {
			first := port.Draw(t, "first")
			wanted = from(first, first+rapid.Uint16Range(0, 3).Draw(t, "more"))
		}
		c := claim(fmt.Sprint("s", i), wanted, at(held...))
		source := rapid.SampledFrom([]v1alpha1.Mode{"", v1alpha1.ModeL7SNAT, v1alpha1.ModeL4SNAT}).Draw(t, "source")
		if server := rapid.Uint16Range(1, 3).Draw(t, "server"); source != "" {
			// What stands never has a server that the other mode has: each has its own.
			stands := map[v1alpha1.Mode]uint16{v1alpha1.ModeL7SNAT: 2, v1alpha1.ModeL4SNAT: 3}[source]
			c = behind(c, source, server, stands*uint16(min(1, len(held))))
		}
		c.Refused = rapid.IntRange(0, 4).Draw(t, "refused") == 0
		c.Wanted.Director = rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(t, "director")
		claims = append(claims, c)
	}
	return claims
}

// TestConflictsProperties: whatever is asked for, what comes out can be programmed: no port has
// two services, no address two directors and no server's port two modes that cannot share it.
func TestConflictsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := drawClaims(t)
		refused := translate.Conflicts(claims)
		holders, servers := map[string]string{}, map[string]v1alpha1.Mode{}
		directors := map[string]bool{}
		for _, c := range claims {
			has := c.Wanted
			if _, no := refused[c.Service]; no || c.Refused {
				has = c.Standing
			}
			for _, p := range single(has.Ports) {
				if other, taken := holders[p]; taken {
					t.Fatalf("%s has two services, %s and %s", p, other, c.Service)
				}
				holders[p] = c.Service
				directors[has.Director] = true
			}
			for _, p := range single(has.Servers) {
				if other, taken := servers[p]; taken && other != has.Source {
					t.Fatalf("server %s has modes %s and %s", p, other, has.Source)
				}
				servers[p] = has.Source
			}
		}
		if len(directors) > 1 {
			t.Fatalf("one address has directors %v", slices.Sorted(maps.Keys(directors)))
		}
	})
}

// single are all ports one by one.
func single(list []translate.Endpoint) []string {
	var out []string
	for _, e := range list {
		for p := e.First; p <= e.Last; p++ {
			out = append(out, fmt.Sprint(e.Addr, e.Protocol, p))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestConflictsAreNotInvented: a service that collides with nobody's wishes or past is accepted.
func TestConflictsAreNotInvented(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := drawClaims(t)
		lone := claim("lone", []translate.Endpoint{{Addr: netip.MustParseAddr("198.51.100.1"), Protocol: model.TCP, First: 104, Last: 104}}, nil)
		i := rapid.IntRange(0, len(claims)).Draw(t, "place")
		if r, no := translate.Conflicts(slices.Insert(claims, i, lone))["lone"]; no {
			t.Fatalf("refused: %s", r.Message)
		}
	})
}

// TestWhatIsProgrammedStands: nobody else's wish refuses a service that has what it asks for.
func TestWhatIsProgrammedStands(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := drawClaims(t)
		refused := translate.Conflicts(claims)
		for _, c := range claims {
			r, no := refused[c.Service]
			stays := c.Wanted.Director == c.Standing.Director &&
				slices.Equal(single(c.Wanted.Ports), single(c.Standing.Ports)) && slices.Equal(single(c.Wanted.Servers), single(c.Standing.Servers))
			if no && !c.Refused && stays {
				t.Fatalf("%s: %s", c.Service, r.Message)
			}
		}
	})
}
