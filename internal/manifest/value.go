package manifest

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of one document.
const (
	maxDepth  = 64
	maxValues = 100_000
)

// converter turns YAML nodes into JSON values and refuses what is ambiguous.
type converter struct {
	values int
}

// lineError is a finding at a line of the document, counted from 1.
type lineError struct {
	line int
	text string
	// first is the line of the first of two equal fields, else 0.
	first int
}

func (e *lineError) Error() string { return e.text }

func errorAt(n *yaml.Node, format string, args ...any) error {
	return &lineError{line: n.Line, text: fmt.Sprintf(format, args...)}
}

// value converts a node: maps, lists, strings, int64, float64, bool and nil.
func (c *converter) value(n *yaml.Node, depth int) (any, error) {
	if c.values++; c.values > maxValues {
		return nil, errorAt(n, "the document holds more than %d values: split it, or write aliases (*name) out", maxValues)
	}
	if depth > maxDepth {
		return nil, errorAt(n, "the document is nested more than %d levels deep: it is damaged, or an alias (*name) refers to itself", maxDepth)
	}
	switch n.Kind {
	case yaml.AliasNode:
		return c.value(n.Alias, depth+1)
	case yaml.MappingNode:
		return c.mapping(n, depth)
	case yaml.SequenceNode:
		return c.list(n, depth)
	case yaml.ScalarNode:
		return scalar(n)
	}
	return nil, errorAt(n, "this is no YAML value")
}

func (c *converter) list(n *yaml.Node, depth int) (any, error) {
	if tag := n.ShortTag(); tag != "!!seq" {
		return nil, errorAt(n, "the tag %s is not known: remove it", tag)
	}
	out := make([]any, 0, len(n.Content))
	for _, item := range n.Content {
		v, err := c.value(item, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (c *converter) mapping(n *yaml.Node, depth int) (any, error) {
	if tag := n.ShortTag(); tag != "!!map" {
		return nil, errorAt(n, "the tag %s is not known: remove it", tag)
	}
	out := make(map[string]any, len(n.Content)/2)
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yaml.ScalarNode || key.ShortTag() == "!!null" {
			return nil, errorAt(key, "the name of a field must be a text")
		}
		if key.ShortTag() == "!!merge" {
			return nil, errorAt(key, "merge keys (<<) are not read: write the fields out")
		}
		if first, twice := lines[key.Value]; twice {
			return nil, &lineError{key.Line, fmt.Sprintf("the field %s is there twice: remove one", strconv.Quote(short(key.Value))), first}
		}
		lines[key.Value] = key.Line
		v, err := c.value(n.Content[i+1], depth+1)
		if err != nil {
			return nil, err
		}
		out[key.Value] = v
	}
	return out, nil
}

func scalar(n *yaml.Node) (any, error) {
	switch tag := n.ShortTag(); tag {
	case "!!str":
		if n.Style == 0 && looksBoolean(n.Value) {
			return nil, errorAt(n, "%s is a text to some readers and true or false to others: write it in quotes, or write true or false", n.Value)
		}
		return n.Value, nil
	case "!!timestamp":
		return n.Value, nil
	case "!!null":
		return nil, nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true"), nil
	case "!!int":
		return integer(n)
	case "!!float":
		return fraction(n)
	default:
		return nil, errorAt(n, "the tag %s is not known: remove it", tag)
	}
}

// looksBoolean: YAML 1.1, which kubectl reads, takes these for true or false.
func looksBoolean(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "no", "on", "off", "y", "n":
		return true
	}
	return false
}

// integer takes plain decimal numbers: 0104 is 104 to some readers and 68 to others.
func integer(n *yaml.Node) (any, error) {
	v, err := strconv.ParseInt(n.Value, 10, 64)
	if err != nil || strconv.FormatInt(v, 10) != n.Value {
		return nil, errorAt(n, "%s is no plain decimal number: write it with digits alone, without leading zero, or in quotes if it is a text", strconv.Quote(short(n.Value)))
	}
	return v, nil
}

func fraction(n *yaml.Node) (any, error) {
	v, err := strconv.ParseFloat(n.Value, 64)
	if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
		return nil, errorAt(n, "%s is no number that can be used: write a plain decimal number, or quotes if it is a text", strconv.Quote(short(n.Value)))
	}
	return v, nil
}

// short bounds how much of a bad value a message repeats.
func short(s string) string {
	const most = 40
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
