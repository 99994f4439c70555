package manifest

import (
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// identify reads kind, namespace and name of an object as far as they can be read.
func identify(n *yaml.Node) Object {
	var o Object
	o.Kind = text(lookup(n, "kind"))
	if meta := lookup(n, "metadata"); meta != nil {
		o.Name, o.Namespace = text(lookup(meta, "name")), text(lookup(meta, "namespace"))
	}
	if o.Namespace == "" {
		o.Namespace = metav1.NamespaceDefault
	}
	return o
}

// lookup returns the value of a field; nil if there is none.
func lookup(n *yaml.Node, name string) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i+1]
		}
	}
	return nil
}

func text(n *yaml.Node) string {
	if n == nil || n.Kind != yaml.ScalarNode || n.ShortTag() != "!!str" {
		return ""
	}
	return n.Value
}

// lineOf returns the line of a field such as spec.virtualIPs[0].address, else that of the
// nearest block around it.
func lineOf(n *yaml.Node, path string) int {
	line := n.Line
	for _, step := range strings.FieldsFunc(strings.ReplaceAll(path, "[", ".["), func(r rune) bool { return r == '.' }) {
		var next *yaml.Node
		if index, isIndex := strings.CutPrefix(step, "["); isIndex {
			next = item(n, strings.TrimSuffix(index, "]"))
		} else {
			next = lookup(n, step)
		}
		if next == nil {
			return line
		}
		n, line = next, next.Line
	}
	return line
}

func item(n *yaml.Node, index string) *yaml.Node {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	i, err := strconv.Atoi(index)
	if err != nil || n.Kind != yaml.SequenceNode || i < 0 || i >= len(n.Content) {
		return nil
	}
	return n.Content[i]
}
