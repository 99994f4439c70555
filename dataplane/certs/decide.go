package certs

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// Decision says which certificate is served.
type Decision struct {
	// Use is the pair to serve; nil: there is none.
	Use *Pair
	// Refused says why what was offered is not used; nil: it is. Use is then what was in use.
	Refused error
	// Flaws are what clients object to in Use.
	Flaws []Flaw
}

// Decide says whether offer takes the place of current, the certificate in use from the same
// place; a nil one is none. needed are the server names that the listener is to have and that no
// other certificate of it covers; nil: what clients ask for is not known, and a name in common with
// current is what tells a renewal. With now zero, time does not count.
func Decide(offer, current *model.Certificate, needed []string, now time.Time) Decision {
	old := parsed(current)
	if offer == nil {
		return stay(old, errors.New("is missing"), now)
	}
	next, err := Parse(*offer)
	switch {
	case err != nil:
		return stay(old, err, now)
	case old == nil || next.same(old):
		return Decision{Use: next, Flaws: next.Flaws(now)}
	}
	if err := next.worseThan(old, needed, now); err != nil {
		return stay(old, err, now)
	}
	return Decision{Use: next, Flaws: next.Flaws(now)}
}

func parsed(m *model.Certificate) *Pair {
	if m == nil {
		return nil
	}
	p, err := Parse(*m)
	if err != nil {
		return nil // it cannot be served any more, whatever it was
	}
	return p
}

func stay(old *Pair, why error, now time.Time) Decision {
	d := Decision{Use: old, Refused: why}
	if old != nil {
		d.Flaws = old.Flaws(now)
	}
	return d
}

// worseThan says why a pair must not take the place of another.
func (p *Pair) worseThan(old *Pair, needed []string, now time.Time) error {
	if err := p.otherNames(old, needed); err != nil {
		return err
	}
	mine, its := p.Flaws(now), old.Flaws(now)
	if len(mine) > 0 && (len(its) == 0 || mine[0].grade > its[0].grade) {
		return errors.New(mine[0].Message)
	}
	return nil
}

// otherNames says which name would be lost: one that is needed, or, where nobody has said what is
// needed, all of them.
func (p *Pair) otherNames(old *Pair, needed []string) error {
	for _, name := range needed {
		if old.Covers(name) && !p.Covers(name) {
			return fmt.Errorf("is for %s and not for %s, which is in serverNames: have it issued with this name, or take the name out of serverNames", some(p.Names()), name)
		}
	}
	if needed != nil || len(old.Names()) == 0 || overlap(p, old) {
		return nil
	}
	return fmt.Errorf("is for %s and the certificate in use for %s, so it seems to be another host's: put the right one there, or write the names that clients use in serverNames if they are meant to change",
		some(p.Names()), some(old.Names()))
}

func overlap(a, b *Pair) bool {
	return slices.ContainsFunc(a.Names(), b.Covers) || slices.ContainsFunc(b.Names(), a.Covers)
}

// some are the first few names.
func some(names []string) string {
	const most = 4
	switch {
	case len(names) == 0:
		return "no name"
	case len(names) > most:
		return printable(strings.Join(names[:most], ", ")) + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return printable(strings.Join(names, ", "))
}

// Uncovered are the names that none of the pairs covers.
func Uncovered(names []string, pairs []*Pair) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return slices.ContainsFunc(pairs, func(p *Pair) bool { return p.Covers(name) })
	})
}
