package manifest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// document is one document of a file.
type document struct {
	*pass
	file      string
	number    int
	firstLine int
	sum       [sha256.Size]byte // of its text
}

// fail reports a problem at a line of the document; 0: unknown.
func (d *document) fail(o Object, line int, format string, args ...any) {
	p := Problem{File: d.file, Document: d.number, Object: o, Message: fmt.Sprintf(format, args...)}
	if line > 0 {
		p.Line = d.firstLine + line - 1
	}
	d.report(p)
}

// read parses a document and takes the objects out of it.
func (d *document) read(text []byte) {
	var root yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&root); err != nil {
		line, what := syntax(err)
		d.fail(guess(text), line, "this is not YAML: %s; check indentation (spaces, no tabs), quotes and brackets", what)
		return
	}
	if root.Kind != yaml.DocumentNode || len(root.Content) != 1 {
		d.fail(Object{}, 0, "the document holds nothing: remove it")
		return
	}
	d.object(root.Content[0], true)
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		d.fail(Object{}, 0, "there is more text after the object: separate documents by a line ---")
	}
}

var syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax cuts the line out of a parser's message.
func syntax(err error) (line int, what string) {
	text := err.Error()
	m := syntaxLine.FindStringSubmatch(text)
	if m == nil {
		return 0, text
	}
	line, _ = strconv.Atoi(m[1])
	return line, text[len(m[0]):]
}

var (
	kindLine      = regexp.MustCompile(`(?m)^kind:[ \t]*["']?([A-Za-z]+)["']?[ \t\r]*(?:#.*)?$`)
	nameLine      = regexp.MustCompile(`(?m)^[ \t]+name:[ \t]*["']?([a-z0-9][-a-z0-9.]*)["']?[ \t\r]*(?:#.*)?$`)
	namespaceLine = regexp.MustCompile(`(?m)^[ \t]+namespace:[ \t]*["']?([a-z0-9][-a-z0-9]*)["']?[ \t\r]*(?:#.*)?$`)
	metadataLine  = regexp.MustCompile(`(?m)^metadata:[ \t\r]*(?:#.*)?\n((?:[ \t]+.*\n?)+)`)
)

// guess reads kind and name off a document that cannot be parsed. An empty answer is right too:
// then everything that was in the file is kept.
func guess(text []byte) Object {
	kind := kindLine.FindAllSubmatch(text, 2)
	meta := metadataLine.FindAllSubmatch(text, 2)
	if len(kind) != 1 || len(meta) != 1 || !known(string(kind[0][1])) {
		return Object{}
	}
	name := nameLine.FindAllSubmatch(meta[0][1], 2)
	namespace := namespaceLine.FindAllSubmatch(meta[0][1], 2)
	if len(name) != 1 || len(namespace) > 1 {
		return Object{}
	}
	out := Object{string(kind[0][1]), types.NamespacedName{Namespace: metav1.NamespaceDefault, Name: string(name[0][1])}}
	if len(namespace) == 1 {
		out.Namespace = string(namespace[0][1])
	}
	return out
}

func known(kind string) bool { return kind == KindBalancer || kind == KindSecret }

// object takes one object, or the items of a list.
func (d *document) object(n *yaml.Node, lists bool) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		d.fail(Object{}, n.Line, "this is no object: write apiVersion, kind, metadata and spec")
		return
	}
	o := identify(n)
	if isList(o.Kind) && lists {
		d.list(n)
		return
	}
	var c converter
	value, err := c.value(n, 0)
	if err != nil {
		d.failConversion(o, err)
		return
	}
	d.take(o, n, value.(map[string]any))
}

func (d *document) failConversion(o Object, err error) {
	var at *lineError
	if !errors.As(err, &at) {
		d.fail(o, 0, "%v", err)
		return
	}
	text := at.text
	if at.first > 0 {
		text += fmt.Sprintf(" (the first is at line %d)", d.firstLine+at.first-1)
	}
	d.fail(o, at.line, "%s", text)
}

func isList(kind string) bool {
	return kind == "List" || kind == KindBalancer+"List" || kind == KindSecret+"List"
}

func (d *document) list(n *yaml.Node) {
	items := lookup(n, "items")
	if items == nil || items.Kind != yaml.SequenceNode {
		d.fail(Object{}, n.Line, "the list has no items: write items with the objects, each after a -")
		return
	}
	for _, item := range items.Content {
		if !d.count(d.file, d.number) {
			return
		}
		d.object(item, false)
	}
}

// take sorts an object by its kind.
func (d *document) take(o Object, n *yaml.Node, content map[string]any) {
	switch {
	case o.Kind == KindBalancer:
		d.balancer(o, n, content)
	case o.Kind == KindSecret && content["apiVersion"] == "v1":
		d.secret(o, n, content)
	case o.Kind == "Namespace":
		// Harmless and common in manifests that are made for a cluster.
	case o.Kind == "":
		d.fail(o, n.Line, "kind is missing: write kind: TruePACSBalancer or kind: Secret")
	default:
		d.fail(o, lineOf(n, "kind"), "kind %s of apiVersion %v is not used here: only TruePACSBalancer (%s) and Secret (v1) are; remove it",
			short(o.Kind), short(fmt.Sprint(content["apiVersion"])), v1alpha1.GroupVersion)
	}
}

func (d *document) balancer(o Object, n *yaml.Node, content map[string]any) {
	if !d.named(o, n, content) {
		return
	}
	obj := d.valid(o, n, content)
	if obj == nil {
		return
	}
	obj.Namespace = o.Namespace
	if d.claim(o, n) {
		if obj.CreationTimestamp.IsZero() {
			obj.CreationTimestamp = metav1.NewTime(time.Unix(int64(len(d.set.Balancers)), 0).UTC())
		}
		d.set.addBalancer(obj, d.file)
	}
}

// valid returns a balancer that the schema allows, or reports why it does not and returns nil.
func (d *document) valid(o Object, n *yaml.Node, content map[string]any) *v1alpha1.TruePACSBalancer {
	from := origin{d.sum, n.Line, n.Column}
	obj := d.before[from]
	if obj == nil {
		var errs field.ErrorList
		if obj, errs = d.schema.Object(content); len(errs) > 0 {
			d.failFields(o, n, errs)
			return nil
		}
	}
	d.good[from] = obj
	return obj.DeepCopy()
}

// failFields reports the schema's findings, each at its line.
func (d *document) failFields(o Object, n *yaml.Node, errs field.ErrorList) {
	for i, e := range errs {
		if i == maxProblems {
			d.fail(o, 0, "and %d more", len(errs)-i)
			return
		}
		d.fail(o, lineOf(n, e.Field), "%v", e)
	}
}

// named refuses objects without a name.
func (d *document) named(o Object, n *yaml.Node, content map[string]any) bool {
	if meta, ok := content["metadata"].(map[string]any); ok && o.Name != "" {
		if _, generate := meta["generateName"]; !generate {
			return true
		}
	}
	d.fail(o, lineOf(n, "metadata"), "metadata.name is missing: write a name (generateName works in a cluster only)")
	return false
}

// claim takes the name of an object; false: another object has it.
func (d *document) claim(o Object, n *yaml.Node) bool {
	at := fmt.Sprintf("%s:%d", d.file, d.firstLine+n.Line-1)
	if other, taken := d.lines[o]; taken {
		d.fail(o, n.Line, "%s is at %s already: remove one, or give it another name", o, other)
		return false
	}
	d.lines[o] = at
	return true
}
