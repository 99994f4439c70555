package translate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// chooseDirectors finds the one node that is to hold each balancer's addresses.
func (r *run) chooseDirectors() {
	for _, b := range r.balancers {
		if r.in.Node.Mode == Host {
			b.director = peer(b.obj.Spec.Directors, r.in.Node.Name)
		} else {
			b.director, b.refusal = selectNode(b.obj.Spec.Directors, r.in.Nodes)
		}
		b.active = b.director != "" && b.director == r.in.Node.Name
	}
}

// peer is the host named in spec.directors.peers, else this one.
func peer(d *v1alpha1.Directors, self string) string {
	if d == nil || len(d.Peers) == 0 {
		return self
	}
	return d.Peers[0].Name
}

// selectNode returns the only node that matches.
func selectNode(d *v1alpha1.Directors, nodes []NodeInfo) (string, *Refusal) {
	selector := selectorOf(d)
	var matching []string
	for _, n := range nodes {
		if matches(n.Labels, selector) {
			matching = append(matching, n.Name)
		}
	}
	slices.Sort(matching)
	switch matching = slices.Compact(matching); len(matching) {
	case 0:
		return "", refusef(v1alpha1.ReasonNoDirector,
			"no node has the labels %s that spec.directors.nodeSelector asks for: label the node that is to hold the addresses (kubectl label node NAME %s)",
			labelText(selector, ","), labelText(selector, " "))
	case 1:
		return matching[0], nil
	}
	return "", refusef(v1alpha1.ReasonTooManyDirectors,
		"%d nodes (%s) have the labels %s that spec.directors.nodeSelector asks for, exactly one may: remove the label from all but one (kubectl label node NAME %s-), or write a selector that matches one node",
		len(matching), some(matching), labelText(selector, ","), slices.Min(slices.Collect(maps.Keys(selector))))
}

// selectorOf applies the default of spec.directors.nodeSelector.
func selectorOf(d *v1alpha1.Directors) map[string]string {
	if d == nil || len(d.NodeSelector) == 0 {
		return map[string]string{v1alpha1.DirectorLabel: "true"}
	}
	return d.NodeSelector
}

func matches(labels, selector map[string]string) bool {
	for k, v := range selector {
		if got, there := labels[k]; !there || got != v {
			return false
		}
	}
	return true
}

func labelText(labels map[string]string, separator string) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, fmt.Sprintf("%s=%s", k, labels[k]))
	}
	return strings.Join(out, separator)
}

// some lists names, at most eight of them.
func some(names []string) string {
	const most = 8
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
