// Package mutate makes broken and odd manifests out of good ones, for tests that prove that
// nothing an administrator writes takes a service down. The same sample and seed always give the
// same mutation. It imports the standard library only and is used by tests alone.
package mutate

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
)

// Mutation is a changed object.
type Mutation struct {
	// Seed makes it again.
	Seed uint64
	// Description says what was changed, where.
	Description string
	// Object is the changed object, with JSON's types and whole numbers as int64.
	Object map[string]any
}

// JSON returns the object as JSON, which is YAML too.
func (m Mutation) JSON() []byte {
	text, err := json.Marshal(m.Object)
	if err != nil {
		panic(fmt.Sprintf("mutate: seed %d made a value that is no JSON: %v", m.Seed, err))
	}
	return text
}

// Object returns sample with changes below spec: every other time one that might be meant, else
// one to three wild ones. sample is left alone; its whole
// numbers must be int64 and it must have a spec.
func Object(sample map[string]any, seed uint64) Mutation {
	m := mutator{rand: rand.New(rand.NewPCG(seed, 0x7450))}
	object := clone(sample).(map[string]any)
	change, changes := m.change, 1+m.rand.IntN(3)
	if m.rand.IntN(2) == 0 {
		change, changes = m.mild, 1
	}
	var done []string
	for range changes {
		slots := m.slots(object)
		if len(slots) == 0 {
			break
		}
		s := slots[m.rand.IntN(len(slots))]
		done = append(done, change(s, slots))
	}
	return Mutation{Seed: seed, Description: strings.Join(done, "; "), Object: object}
}

// slot is a place in an object: a field of a block or an entry of a list.
type slot struct {
	path  string
	value any
	// set replaces the value, remove takes the slot away, insert adds a neighbour.
	set    func(any)
	remove func()
	insert func(any)
}

type mutator struct{ rand *rand.Rand }

// slots returns every place below spec, in a fixed order.
func (m *mutator) slots(object map[string]any) []slot {
	var out []slot
	walk("spec", object["spec"], func(v any) { object["spec"] = v }, &out)
	return out
}

// walk collects the slots inside a value; set replaces the value itself.
func walk(path string, value any, set func(any), out *[]slot) {
	switch value := value.(type) {
	case map[string]any:
		for _, k := range slices.Sorted(maps.Keys(value)) {
			s := slot{
				path: path + "." + k, value: value[k],
				set:    func(v any) { value[k] = v },
				remove: func() { delete(value, k) },
				insert: func(v any) { value[k+"2"] = v },
			}
			*out = append(*out, s)
			walk(s.path, s.value, s.set, out)
		}
	case []any:
		for i := range value {
			s := slot{
				path: fmt.Sprintf("%s[%d]", path, i), value: value[i],
				set:    func(v any) { value[i] = v },
				remove: func() { set(slices.Delete(slices.Clone(value), i, i+1)) },
				insert: func(v any) { set(slices.Insert(slices.Clone(value), i, v)) },
			}
			*out = append(*out, s)
			walk(s.path, s.value, s.set, out)
		}
	}
}

// change makes one change at a slot and describes it.
func (m *mutator) change(s slot, all []slot) string {
	other := all[m.rand.IntN(len(all))]
	switch m.rand.IntN(12) {
	case 0:
		s.remove()
		return "drop " + s.path
	case 1:
		s.insert(clone(s.value))
		return "double " + s.path
	case 2:
		a, b := clone(s.value), clone(other.value)
		s.set(b)
		if !strings.HasPrefix(s.path, other.path) && !strings.HasPrefix(other.path, s.path) {
			other.set(a)
		}
		return "swap " + s.path + " with " + other.path
	case 3:
		s.set(clone(other.value))
		return "write " + other.path + " to " + s.path
	case 4:
		s.set(m.pick(nil, map[string]any{}, []any{}, "", int64(0), false))
		return "empty " + s.path
	case 5:
		s.set([]any{s.value})
		return "wrap " + s.path + " in a list"
	case 6:
		s.insert(m.extreme(s.value))
		return "insert beside " + s.path
	}
	v := m.extreme(s.value)
	s.set(v)
	return fmt.Sprintf("set %s to %.60q", s.path, fmt.Sprint(v))
}

// extreme returns another value, mostly of the same type.
func (m *mutator) extreme(value any) any {
	if m.rand.IntN(8) == 0 {
		return m.pick(true, int64(-1), 1.5, "17", []any{"x"}, map[string]any{"unknown": "x"}, nested(40))
	}
	switch value := value.(type) {
	case int64:
		return m.pick(int64(0), int64(1), int64(-1), int64(65535), int64(65536), int64(1<<31-1), int64(1<<31), int64(-1<<63), int64(1<<63-1),
			int64(104), int64(443), value+1, value-1, float64(value)+0.5, fmt.Sprint(value))
	case string:
		return m.text(value)
	case []any:
		return m.longer(value)
	case map[string]any:
		out := clone(value).(map[string]any)
		out[m.pick("unknown", "Name", "ports", "layer7", "status", "x/y.z", "").(string)] = m.text("x")
		return out
	}
	return m.text("x")
}

// text returns another text: addresses, references, names, control bytes, long ones.
func (m *mutator) text(s string) string {
	return m.pick(
		"127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "169.254.1.1", "192.0.2.1", "192.0.2.2", "192.0.2.11", "192.0.2.12", "192.0.2.100",
		"192.0.2.101", "192.0.2.255", "192.0.2.0", "203.0.113.9", "::1", "2001:db8::1", "::ffff:192.0.2.1", "192.0.2.100/32", "10.0.0.0/8", "0.0.0.0/0", "192.0.2.010",
		"L4DR", "L7SNAT", "TCP", "HTTP", "DICOMEcho", "Cookie", "RoundRobin", "TLS13", "main", "archive", "viewer", "viewer-tls", "pacs-a", "eth0", "lo", "nowhere",
		"/", "//", "/../..", "/a?b#c", "/%zz", "X-Site", "Host", "Content-Length", "a\r\nb: c", "\x00", "\u202egnp", "RÖNTGEN", "名前", "\U0001f600", "\ufeff", " ", "",
		strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("ä", 300), strings.Repeat("9", 5000), strings.Repeat(s, 3),
		strings.ToUpper(s), s+" ", " "+s, s+"\n", "-"+s, s+".", strings.ReplaceAll(s, "-", "_"), "../"+s, "${"+s+"}", "{{"+s+"}}", "null", "true", "1e3", "0x10",
	).(string)
}

// longer returns a list with many entries, copies of its own with other names.
func (m *mutator) longer(list []any) any {
	n := m.pick(1, 2, 16, 17, 64, 65, 300).(int)
	out := make([]any, 0, n)
	for i := range n {
		if len(list) == 0 {
			out = append(out, fmt.Sprint("x", i))
			continue
		}
		v := clone(list[i%len(list)])
		if block, ok := v.(map[string]any); ok && i >= len(list) && block["name"] != nil {
			block["name"] = fmt.Sprint("x", i)
		}
		if number, ok := v.(int64); ok {
			v = number + int64(i)
		}
		out = append(out, v)
	}
	return out
}

func (m *mutator) pick(values ...any) any { return values[m.rand.IntN(len(values))] }

// nested is a block of a given depth.
func nested(depth int) any {
	var v any = "x"
	for range depth {
		v = map[string]any{"x": v}
	}
	return v
}

func clone(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, item := range v {
			out[k] = clone(item)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = clone(item)
		}
		return out
	}
	return v
}
