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
	"github.com/truepacs/balancer/internal/translate"
)

// at makes endpoints of one address.
func at(ports ...uint16) []netip.AddrPort {
	var out []netip.AddrPort
	for _, p := range ports {
		out = append(out, netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 100}), p))
	}
	return out
}

func claim(service string, wanted, standing []netip.AddrPort) translate.Claim {
	return translate.Claim{Service: service, Director: "a", StandingDirector: "a", Wanted: wanted, Standing: standing}
}

func TestConflicts(t *testing.T) {
	refused := func(c translate.Claim) translate.Claim { c.Refused = true; return c }
	moving := func(c translate.Claim) translate.Claim { c.Director = "b"; return c }
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
		"exchange":         {[]translate.Claim{claim("x", at(2), at(1)), claim("y", at(1), at(2))}, map[string]string{}},
		"other director":   {[]translate.Claim{claim("x", at(1), nil), moving(claim("y", at(2), nil))}, map[string]string{"y": v1alpha1.ReasonDirectorConflict}},
		"both move":        {[]translate.Claim{moving(claim("x", at(1), at(1))), moving(claim("y", at(2), at(2)))}, map[string]string{}},
		"one cannot move":  {[]translate.Claim{refused(moving(claim("x", at(1), at(1)))), moving(claim("y", at(2), at(2)))}, map[string]string{"y": v1alpha1.ReasonDirectorConflict}},
		"who stays, stays": {[]translate.Claim{moving(claim("x", at(2), at(2))), claim("y", at(1), at(1))}, map[string]string{"x": v1alpha1.ReasonDirectorConflict}},
		"one alone may go": {[]translate.Claim{moving(claim("x", at(1), at(1)))}, map[string]string{}},
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
		wanted := rapid.SliceOfNDistinct(port, 1, 4, rapid.ID).Draw(t, "wanted")
		c := claim(fmt.Sprint("s", i), at(wanted...), at(held...))
		c.Refused = rapid.IntRange(0, 4).Draw(t, "refused") == 0
		c.Director = rapid.SampledFrom([]string{"a", "a", "a", "b"}).Draw(t, "director")
		claims = append(claims, c)
	}
	return claims
}

// TestConflictsProperties: whatever is asked for, what comes out can be programmed: no port has
// two services and no address two directors.
func TestConflictsProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := drawClaims(t)
		refused := translate.Conflicts(claims)
		holders := map[netip.AddrPort]string{}
		directors := map[string]bool{}
		for _, c := range claims {
			ports, director := c.Wanted, c.Director
			if _, no := refused[c.Service]; no || c.Refused {
				ports, director = c.Standing, c.StandingDirector
			}
			for _, p := range ports {
				if other, taken := holders[p]; taken {
					t.Fatalf("%s has two services, %s and %s", p, other, c.Service)
				}
				holders[p] = c.Service
				directors[director] = true
			}
		}
		if len(directors) > 1 {
			t.Fatalf("one address has directors %v", slices.Sorted(maps.Keys(directors)))
		}
	})
}

// TestConflictsAreNotInvented: a service that collides with nobody's wishes or past is accepted.
func TestConflictsAreNotInvented(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := drawClaims(t)
		lone := claim("lone", []netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:104")}, nil)
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
			if no && !c.Refused && c.Director == c.StandingDirector && cmp.Equal(c.Wanted, c.Standing, cmp.Comparer(sameSet)) {
				t.Fatalf("%s: %s", c.Service, r.Message)
			}
		}
	})
}

func sameSet(a, b []netip.AddrPort) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.SortFunc(a, netip.AddrPort.Compare)
	slices.SortFunc(b, netip.AddrPort.Compare)
	return slices.Equal(a, b)
}
