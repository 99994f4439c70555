package mutate

import (
	"fmt"
	"slices"
	"strings"
)

// mild makes a change that an administrator might mean: most of them pass the schema, and what
// is wrong with them shows later.
func (m *mutator) mild(s slot, all []slot) string {
	switch value := s.value.(type) {
	case int64:
		v := m.pick(value+1, max(1, value-1), value*2, int64(1), int64(60), int64(104), int64(443), int64(11112))
		s.set(v)
		return fmt.Sprintf("set %s to %d", s.path, v)
	case string:
		v := m.likely(s, value, all)
		s.set(v)
		return fmt.Sprintf("set %s to %s", s.path, v)
	case []any:
		s.set(m.reshape(value))
		return "reshape the list " + s.path
	}
	if strings.HasSuffix(s.path, "]") {
		s.insert(m.renamed(s.value))
		return "double " + s.path + " under another name"
	}
	s.remove()
	return "drop " + s.path
}

// likely returns an address for an address, else a text that a field of this name has elsewhere.
func (m *mutator) likely(s slot, value string, all []slot) string {
	if strings.Count(value, ".") == 3 {
		return m.pick("192.0.2.1", "192.0.2.2", "192.0.2.11", "192.0.2.12", "192.0.2.100", "192.0.2.101", "192.0.2.255", "203.0.113.9", "10.0.0.1").(string)
	}
	var others []any
	for _, o := range all {
		if text, ok := o.value.(string); ok && field(o.path) == field(s.path) {
			others = append(others, text)
		}
	}
	return m.pick(append(others, value+"-2", "x")...).(string)
}

// field is the last field name of a path.
func field(path string) string {
	path = strings.TrimRight(path, "[]0123456789")
	return path[strings.LastIndexByte(path, '.')+1:]
}

// reshape drops, turns around or doubles entries.
func (m *mutator) reshape(list []any) any {
	out := clone(list).([]any)
	switch m.rand.IntN(3) {
	case 0:
		return out[:len(out)/2]
	case 1:
		slices.Reverse(out)
		return out
	}
	for _, v := range list {
		out = append(out, m.renamed(v))
	}
	return out
}

// renamed returns a copy that can stand beside the original.
func (m *mutator) renamed(v any) any {
	switch v := clone(v).(type) {
	case map[string]any:
		if name, ok := v["name"].(string); ok {
			v["name"] = name + "-2"
		}
		return v
	case int64:
		return v + 1000
	case string:
		return v + "-2"
	default:
		return v
	}
}
