package conditions

import (
	"cmp"
	"slices"
	"strings"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// liveness is what a Lease says of an agent.
type liveness int

const (
	// absent: there is no Lease, so no agent ever ran.
	absent liveness = iota
	// silent: the Lease ran out.
	silent
	// alive: the Lease is valid.
	alive
)

// director is a node that matches spec.directors, or one that matched and still reports.
type director struct {
	name     string
	liveness liveness
	// wanted says that the node matches spec.directors.
	wanted bool
	// report is nil when the node has not reported.
	report *v1alpha1.TruePACSReportStatus
}

// heard says that the report is what the director sees now.
func (d director) heard() bool { return d.liveness == alive && d.report != nil }

// holds says that the director has the address; a silent one may still have it, but nobody knows.
func (d director) holds(vip string) bool {
	return d.heard() && d.claims(vip)
}

func (d director) claims(vip string) bool {
	return d.report != nil && slices.ContainsFunc(d.report.VirtualIPs, func(v v1alpha1.VirtualIPStatus) bool {
		return v.Name == vip && v.ActiveNode == d.name
	})
}

// scope is an Input, sorted out.
type scope struct {
	Input
	spec *v1alpha1.TruePACSBalancerSpec
	// directors are sorted by name; the wanted ones and those that still report.
	directors []director
}

func newScope(in Input) *scope {
	s := &scope{Input: in, spec: &in.Balancer.Spec}
	byNode := map[string]*v1alpha1.TruePACSReportStatus{}
	for i := range in.Reports {
		if report := &in.Reports[i].Status; report.Node != "" {
			byNode[report.Node] = report
		}
	}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(in.Directors))) {
		s.directors = append(s.directors, director{name: name, liveness: s.liveness(name), wanted: true, report: byNode[name]})
		delete(byNode, name)
	}
	for name, report := range byNode {
		s.directors = append(s.directors, director{name: name, liveness: s.liveness(name), report: report})
	}
	slices.SortFunc(s.directors, func(a, b director) int { return cmp.Compare(a.name, b.name) })
	return s
}

func (s *scope) liveness(node string) liveness {
	until, ok := s.Leases[node]
	switch {
	case !ok:
		return absent
	case until.After(s.Now):
		return alive
	default:
		return silent
	}
}

// wanted are the directors that match spec.directors.
func (s *scope) wanted() []director {
	return slices.DeleteFunc(slices.Clone(s.directors), func(d director) bool { return !d.wanted })
}

// reachable are the wanted directors whose agent is alive.
func (s *scope) reachable() []director {
	return slices.DeleteFunc(s.wanted(), func(d director) bool { return d.liveness != alive })
}

// current are the reachable directors that have reported on this generation of the spec.
func (s *scope) current() []director {
	return slices.DeleteFunc(s.reachable(), func(d director) bool {
		return d.report == nil || d.report.ObservedGeneration < s.Balancer.Generation
	})
}

// holders are the directors that say now that they have the address.
func (s *scope) holders(vip string) []director {
	return slices.DeleteFunc(slices.Clone(s.directors), func(d director) bool { return !d.holds(vip) })
}

func names(ds []director) string {
	var out []string
	for _, d := range ds {
		out = append(out, d.name)
	}
	return join(out)
}

// join writes a list as people do: a, b and c; after ten entries: and 5 more.
func join(list []string) string {
	const most = 10
	if len(list) > most {
		return strings.Join(list[:most], ", ") + " and " + count(len(list)-most, "more")
	}
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}
