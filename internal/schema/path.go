package schema

import (
	"strings"

	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// at returns the schema at a path such as spec.virtualServices[0].ports[1]; nil if there is none.
// Keys of free maps may hold dots, which a path does not quote: below one, nil is returned.
func (v *Validator) at(path string) *structuralschema.Structural {
	node := v.structural
	for _, step := range steps(path) {
		node = child(node, step)
		if node == nil {
			return nil
		}
	}
	return node
}

func child(node *structuralschema.Structural, step string) *structuralschema.Structural {
	if strings.HasPrefix(step, "[") {
		if node.Items != nil {
			return node.Items
		}
	} else if prop, ok := node.Properties[step]; ok {
		return &prop
	}
	if node.AdditionalProperties != nil {
		return node.AdditionalProperties.Structural
	}
	return nil
}

// steps cuts a path at dots and before brackets.
func steps(path string) []string {
	return strings.FieldsFunc(strings.ReplaceAll(path, "[", ".["), func(r rune) bool { return r == '.' })
}

// splitPath cuts the last field name off.
func splitPath(path string) (parent, name string) {
	if i := strings.LastIndexByte(path, '.'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// nearest returns the known name that name was probably meant to be: the one with the fewest
// single-letter edits, at most a third of its length; letter case counts for nothing.
func nearest(name string, known []string) string {
	best, bestAt := "", len(name)/3+1
	for _, k := range known {
		if d := edits(strings.ToLower(name), strings.ToLower(k)); d < bestAt {
			best, bestAt = k, d
		}
	}
	return best
}

// edits is the Levenshtein distance of two short names; long ones are far from everything.
func edits(a, b string) int {
	if len(a) > maxShown {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
