package refusals

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/truepacs/balancer/e2e/suite"
	"github.com/truepacs/balancer/internal/testutil/badspecs"
)

// batch is how many manifests are written at once.
const batch = 48

// specCase is a bad spec as a file of the director.
type specCase struct {
	badspecs.Case
	title, file, name, address string
}

// specCases are all bad specs of the schema, each with a virtual IP of its own among batch others.
func specCases() []specCase {
	all := badspecs.All()
	var out []specCase
	for i, title := range slices.Sorted(maps.Keys(all)) {
		out = append(out, specCase{
			Case: all[title], title: title, file: fmt.Sprintf("bad-%03d.yaml", i),
			name: fmt.Sprintf("bad-%03d", i), address: slotAddress(i % batch),
		})
	}
	return out
}

// slotAddress is a virtual IP that nobody else has.
func slotAddress(slot int) string { return fmt.Sprintf("192.0.2.%d", 130+slot) }

// bad is the bad object, under the case's own address and, unless the name is what is bad, name.
func (c specCase) bad(t *testing.T) badspecs.Block {
	return c.object(t, badspecs.Edits{"metadata.name": c.name}, c.Bad)
}

// remedied is the object with the remedy in place of what was bad.
func (c specCase) remedied(t *testing.T) badspecs.Block {
	return c.object(t, c.Remedy, badspecs.Edits{"metadata.name": c.name})
}

func (c specCase) object(t *testing.T, changes ...badspecs.Edits) badspecs.Block {
	t.Helper()
	return badspecs.Parse(readdressed(manifest(t, badspecs.Object(changes...)), "192.0.2.100", c.address))
}

// manifest is an object as an administrator would write it.
func manifest(t *testing.T, obj badspecs.Block) string {
	t.Helper()
	text, err := yaml.Marshal(obj)
	suite.Must(t, err)
	return string(text)
}

// readdressed replaces an address by another.
func readdressed(text, from, to string) string {
	return regexp.MustCompile(regexp.QuoteMeta(from)+`\b`).ReplaceAllString(text, to)
}

// refused returns nil if a message names file, field and remedy.
func (c specCase) refused(o overview) error {
	texts := o.refusals(c.file)
	for _, text := range texts {
		if strings.Contains(text, c.Field) && strings.Contains(text, c.Says) {
			return nil
		}
	}
	return fmt.Errorf("%s (%s): no message names %q and says %q: %q", c.file, c.title, c.Field, c.Says, texts)
}

// badSpecs are all bad specs, and as many batches of them as the environment says, which the seed chooses.
func badSpecs(t *testing.T, p suite.Plan) (all []specCase, chosen [][]specCase) {
	t.Helper()
	cases := specCases()
	parts := slices.Collect(slices.Chunk(cases, batch))
	n, err := suite.Number("REFUSALS_BATCHES", 2)
	suite.Must(t, err)
	for i := range min(n, uint64(len(parts))) {
		chosen = append(chosen, parts[(p.Seed+i)%uint64(len(parts))])
	}
	return cases, chosen
}

// refuse writes bad manifests, batch by batch, and then their remedies.
func refuse(t *testing.T, h *host, all []specCase, chosen [][]specCase, seed uint64) {
	cases := slices.Concat(chosen...)
	if len(cases) < 40 {
		t.Fatalf("%d cases, the sample is too small", len(cases))
	}
	for _, part := range chosen {
		for _, c := range part {
			h.put(t, c.file, manifest(t, c.bad(t)))
		}
		h.await(t, "refusals", func(o overview) error { return each(part, func(c specCase) error { return c.refused(o) }) })
		h.unharmed(t, "after "+part[0].title+" and more")
		if held := h.addresses(t); slices.ContainsFunc(part, func(c specCase) bool { return held[c.address] }) {
			t.Errorf("an address of a refused balancer is held: %v", held)
		}
		for _, c := range part {
			h.put(t, c.file, manifest(t, c.remedied(t)))
		}
		h.await(t, "remedies", func(o overview) error { return each(part, func(c specCase) error { return c.accepted(o) }) })
		h.unharmed(t, "after the remedies of "+part[0].title+" and more")
		h.remove(t, "bad-*.yaml")
		h.await(t, "removal", onlyGood)
	}
	suite.Verdict(t, "%d of %d bad manifests, chosen by seed %d, refused with field and remedy, %d remedies accepted and programmed", len(cases), len(all), seed, len(cases))
}

func (c specCase) accepted(o overview) error {
	if texts := o.refusals(c.file); len(texts) > 0 {
		return fmt.Errorf("%s (%s): the remedy is refused: %q", c.file, c.title, texts)
	}
	if err := o.programmed(c.name); err != nil {
		return fmt.Errorf("%s (%s): %w", c.file, c.title, err)
	}
	return nil
}

// onlyGood returns nil if nothing but the good balancer is left.
func onlyGood(o overview) error {
	if len(o.Items) != 1 || len(o.Problems) > 0 {
		return fmt.Errorf("%d balancers and the problems %q are left", len(o.Items), o.Problems)
	}
	return nil
}

// addresses are the IPv4 addresses that the director's kernel has.
func (h *host) addresses(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, m := range regexp.MustCompile(`inet ([0-9.]+)`).FindAllStringSubmatch(h.onDirector(t, "ip", "-4", "-o", "address", "show"), -1) {
		out[m[1]] = true
	}
	return out
}

// each joins what a check says of some cases.
func each[C any](cases []C, check func(C) error) error {
	var errs []error
	for _, c := range cases {
		errs = append(errs, check(c))
	}
	return errors.Join(errs...)
}
