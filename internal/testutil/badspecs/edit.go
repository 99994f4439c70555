package badspecs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"
)

// Parse reads one YAML document as the API server reads JSON: whole numbers as int64.
func Parse(text string) Block {
	raw, err := yaml.YAMLToJSONStrict([]byte(text))
	if err != nil {
		panic(err)
	}
	var out Block
	if err := json.Unmarshal(raw, &out); err != nil {
		panic(err)
	}
	return out
}

func baseSpec() Block { return Parse(base)["spec"].(Block) }

// Object returns the base object with changes.
func Object(changes ...Edits) Block {
	var obj any = Parse(base)
	for _, change := range changes {
		for _, path := range slices.Sorted(maps.Keys(change)) {
			steps := strings.FieldsFunc(strings.ReplaceAll(path, "[", ".["), func(r rune) bool { return r == '.' })
			obj = set(obj, steps, change[path])
		}
	}
	return obj.(Block)
}

// set returns container with the value at steps replaced, added or, for Drop, removed.
func set(container any, steps []string, value any) any {
	if len(steps) == 0 {
		return value
	}
	if index, ok := strings.CutPrefix(steps[0], "["); ok {
		return setItem(container.(List), index, steps[1:], value)
	}
	fields, _ := container.(Block)
	if fields == nil {
		fields = Block{}
	}
	if _, remove := value.(Drop); remove && len(steps) == 1 {
		delete(fields, steps[0])
		return fields
	}
	fields[steps[0]] = set(fields[steps[0]], steps[1:], value)
	return fields
}

func setItem(items List, index string, rest []string, value any) any {
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

// ManyVIPs returns n virtual IPs, the first that of the base.
func ManyVIPs(n int) List {
	out := List{Block{"name": "main", "address": "192.0.2.100"}}
	for i := 1; i < n; i++ {
		out = append(out, Block{"name": fmt.Sprint("v", i), "address": fmt.Sprint("198.51.100.", i)})
	}
	return out
}

// Ports returns n ports.
func Ports(n int) List {
	var out List
	for i := range n {
		out = append(out, int64(1000+i))
	}
	return out
}

// Checks returns n health checks.
func Checks(n int) List {
	var out List
	for i := range n {
		out = append(out, Block{"type": "TCP", "port": int64(104 + i)})
	}
	return out
}
