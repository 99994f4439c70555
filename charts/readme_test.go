package charts

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

const (
	begin = "<!-- values:begin (written by: go test ./charts -update) -->\n"
	end   = "<!-- values:end -->"
)

// TestReadmeListsEveryValue: the table of the README is made of the comments in values.yaml, and
// every value has one.
func TestReadmeListsEveryValue(t *testing.T) {
	text, err := os.ReadFile(chart + "/values.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		t.Fatal(err)
	}
	table := "| value | default | meaning |\n|---|---|---|\n" + strings.Join(rows(t, root.Content[0], ""), "")
	readme, err := os.ReadFile(chart + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(readme), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the README has no place for the table of values")
	}
	golden(t, chart+"/README.md", []byte(head+begin+table+end+tail))
}

// rows makes a row of each leaf: a map whose members are commented is no leaf.
func rows(t *testing.T, node *yaml.Node, prefix string) []string {
	var out []string
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		name := prefix + key.Value
		if value.Kind == yaml.MappingNode && value.Style&yaml.FlowStyle == 0 && commented(value) {
			out = append(out, rows(t, value, name+".")...)
			continue
		}
		comment := strings.TrimSpace(strings.ReplaceAll(strings.ReplaceAll(key.HeadComment, "\n# ", " "), "# ", ""))
		if comment == "" {
			t.Errorf("values.yaml: %s has no comment", name)
		}
		out = append(out, fmt.Sprintf("| `%s` | `%s` | %s |\n", name, compact(t, value), comment))
	}
	return out
}

func commented(node *yaml.Node) bool {
	return len(node.Content) > 0 && node.Content[0].HeadComment != ""
}

func compact(t *testing.T, node *yaml.Node) string {
	var value any
	if err := node.Decode(&value); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
