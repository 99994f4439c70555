package schema_test

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// parse reads YAML as the API server reads JSON: whole numbers as int64.
func parse(text string) block {
	raw, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		panic(err)
	}
	var out block
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

func baseSpec() block { return parse(base)["spec"].(block) }

// edited returns the base object with changes.
func edited(changes ...edits) block {
	var obj any = parse(base)
	for _, change := range changes {
		for _, path := range slices.Sorted(maps.Keys(change)) {
			steps := strings.FieldsFunc(strings.ReplaceAll(path, "[", ".["), func(r rune) bool { return r == '.' })
			obj = set(obj, steps, change[path])
		}
	}
	return obj.(block)
}

// set returns container with the value at steps replaced, added or, for drop, removed.
func set(container any, steps []string, value any) any {
	if len(steps) == 0 {
		return value
	}
	if index, ok := strings.CutPrefix(steps[0], "["); ok {
		return setItem(container.(list), index, steps[1:], value)
	}
	fields, _ := container.(block)
	if fields == nil {
		fields = block{}
	}
	if _, remove := value.(drop); remove && len(steps) == 1 {
		delete(fields, steps[0])
		return fields
	}
	fields[steps[0]] = set(fields[steps[0]], steps[1:], value)
	return fields
}

func setItem(items list, index string, rest []string, value any) any {
	i, err := strconv.Atoi(strings.TrimSuffix(index, "]"))
	if err != nil {
		panic(err)
	}
	if i == len(items) {
		items = append(items, nil)
	}
	items[i] = set(items[i], rest, value)
	return items
}

func manyVIPs(n int) list {
	out := list{block{"name": "main", "address": "192.0.2.100"}}
	for i := 1; i < n; i++ {
		out = append(out, block{"name": fmt.Sprint("v", i), "address": fmt.Sprint("198.51.100.", i)})
	}
	return out
}

func ports(n int) list {
	var out list
	for i := range n {
		out = append(out, int64(1000+i))
	}
	return out
}

func checks(n int) list {
	var out list
	for i := range n {
		out = append(out, block{"type": "TCP", "port": int64(104 + i)})
	}
	return out
}
