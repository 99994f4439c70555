package manifest_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/internal/manifest"
)

func makePipe(t *testing.T, name string) {
	t.Helper()
	must(t, unix.Mkfifo(name, 0o600))
}

func replace(text, old, new string) string {
	if !strings.Contains(text, old) {
		panic("no " + old)
	}
	return strings.Replace(text, old, new, 1)
}

// bad is a document that must be refused. It is read between two good ones, which start at line
// 1 and after it; line is counted in the document.
type bad struct {
	text   string
	line   int
	object string
	says   string
}

func badDocuments() map[string]bad {
	b := balancer("bad")
	const name = "TruePACSBalancer default/bad"
	deep := strings.Repeat("[", 70) + strings.Repeat("]", 70)
	return map[string]bad{
		"tab":               {replace(b, "  name: bad", "\tname: bad"), 4, "", "no tabs"},
		"bracket":           {replace(b, "[104]", "[104"), 0, name, "brackets"},
		"syntax, named":     {replace(b, "address: 192.0.2.100}", "address: 192.0.2.100"), 0, name, "not YAML"},
		"two fields":        {replace(b, "  virtualIPs:", "  serverPools: []\n  virtualIPs:"), 9, name, "twice: remove one (the first is at line"},
		"unknown field":     {replace(b, "address: 192.0.2.11}", "addressx: 192.0.2.11}"), 10, name, "did you mean address"},
		"wrong type":        {replace(b, "[104]", "['104']"), 12, name, "whole number"},
		"missing field":     {replace(b, "mode: L4DR, ", ""), 12, name, "is missing"},
		"schema rule":       {replace(b, "serverPool: archive", "serverPool: other"), 6, name, "add the pool"},
		"leading zero":      {replace(b, "[104]", "[0104]"), 12, name, "leading zero"},
		"hexadecimal":       {replace(b, "[104]", "[0x68]"), 12, name, "plain decimal"},
		"underscores":       {replace(b, "[104]", "[1_104]"), 12, name, "plain decimal"},
		"not a number":      {replace(b, "[104]", "[.nan]"), 12, name, "no number"},
		"unquoted no":       {replace(b, "name: bad", "name: bad\n  labels: {site: no}"), 5, name, "in quotes"},
		"merge key":         {replace(b, "name: bad", "name: bad\n  labels: {<<: {a: b}}"), 5, name, "merge keys"},
		"own tag":           {replace(b, "[104]", "[!port 104]"), 12, name, "the tag !port"},
		"binary":            {replace(b, "name: bad", "name: bad\n  labels: {a: !!binary QQ==}"), 5, name, "the tag !!binary"},
		"number as name":    {replace(b, "name: bad", "name: 17"), 4, "", "metadata.name"},
		"no name":           {replace(b, "  name: bad", "  namespace: x"), 4, "", "metadata.name is missing"},
		"generated name":    {replace(b, "name: bad", "generateName: bad-"), 4, "", "in a cluster only"},
		"bad name":          {replace(b, "name: bad", "name: Bad"), 4, "TruePACSBalancer default/Bad", "lower"},
		"no kind":           {replace(b, "kind: TruePACSBalancer\n", ""), 1, "", "kind is missing"},
		"other kind":        {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: bad}\n", 2, "Deployment default/bad", "is not used here"},
		"other version":     {replace(b, "v1alpha1", "v1"), 1, name, "write apiVersion: lb.truepacs.io/v1alpha1"},
		"text":              {"hello\n", 1, "", "no object"},
		"list":              {"- a\n- b\n", 1, "", "no object"},
		"number as field":   {"? [a]\n: b\n", 1, "", "name of a field"},
		"too deep":          {replace(b, "[104]", deep), 12, name, "levels deep"},
		"alias to itself":   {"kind: TruePACSBalancer\nmetadata: &a {name: bad, x: *a}\n", 2, name, "refers to itself"},
		"alias bomb":        {bomb(), 0, name, "more than 100000 values"},
		"unknown alias":     {replace(b, "[104]", "*ports"), 0, name, "not YAML"},
		"list of lists":     {"apiVersion: v1\nkind: List\nitems:\n- {kind: List, items: []}\n", 4, "", "is not used here"},
		"list without":      {"apiVersion: v1\nkind: List\n", 1, "", "no items"},
		"directive":         {"%FOO bar\n" + b, 0, name, "not YAML"},
		"Secret, field":     {replace(goodSecret, "type:", "typ: x\ntype:"), 4, "Secret default/tls", "no such field"},
		"Secret, type":      {replace(goodSecret, "kubernetes.io/tls", "kubernetes.io/ssh-auth"), 4, "Secret default/tls", "write type: kubernetes.io/tls"},
		"Secret, empty":     {replace(goodSecret, "type: kubernetes.io/tls\nstringData: {tls.crt: CERTIFICATE, tls.key: PRIVATE-KEY}", "type: Opaque"), 1, "Secret default/tls", "data is empty"},
		"Secret, no key":    {replace(goodSecret, ", tls.key: PRIVATE-KEY", ""), 1, "Secret default/tls", "tls.key is missing"},
		"Secret, base64":    {replace(goodSecret, "stringData", "data"), 5, "Secret default/tls", "not base64"},
		"Secret, number":    {replace(goodSecret, "PRIVATE-KEY", "17"), 5, "Secret default/tls", "write a text"},
		"Secret, metadata":  {replace(goodSecret, "{name: tls}", "{name: tls, nane: x}"), 3, "Secret default/tls", "nane"},
		"Secret, name":      {replace(goodSecret, "{name: tls}", "{name: tls_1}"), 3, "Secret default/tls_1", "lower case"},
		"Secret, namespace": {replace(goodSecret, "{name: tls}", "{name: tls, namespace: a.b}"), 3, "Secret a.b/tls", "must not contain dots"},
		"Secret, no block":  {replace(goodSecret, "{tls.crt: CERTIFICATE, tls.key: PRIVATE-KEY}", "PRIVATE-KEY"), 5, "Secret default/tls", "write tls.crt and tls.key here"},
	}
}

// bomb is small text that aliases blow up to 10^8 values.
func bomb() string {
	var s strings.Builder
	s.WriteString("kind: TruePACSBalancer\nmetadata:\n  name: bad\na0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := 1; i < 8; i++ {
		fmt.Fprintf(&s, "a%d: &a%d [%s*a%d]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 9), i-1)
	}
	return s.String()
}

func TestOneBadDocumentHidesNoGoodOne(t *testing.T) {
	good := []string{"TruePACSBalancer default/after in f.yaml", "TruePACSBalancer default/before in f.yaml", "TruePACSBalancer default/other in g.yaml"}
	before := balancer("before")
	for name, tc := range badDocuments() {
		t.Run(name, func(t *testing.T) {
			set, problems := reader(t).Read(dir(map[string]string{
				"f.yaml": before + "---\n" + tc.text + "---\n" + balancer("after"), "g.yaml": balancer("other"),
			}))
			if diff := cmp.Diff(good, objects(set)); diff != "" {
				t.Error(diff)
			}
			if len(problems) == 0 {
				t.Fatal("it is accepted")
			}
			p := problems[0]
			if wantLine := strings.Count(before, "\n") + 1 + tc.line; tc.line > 0 && p.Line != wantLine {
				t.Errorf("line %d, want %d", p.Line, wantLine)
			}
			if p.File != "f.yaml" || p.Document != 2 || !says(problems, tc.says) {
				t.Errorf("no problem in document 2 of f.yaml says %q: %v", tc.says, problems)
			}
			if tc.object != "" && p.Object.String() != tc.object {
				t.Errorf("object %s, want %s", p.Object, tc.object)
			}
		})
	}
}

func says(problems []manifest.Problem, text string) bool {
	for _, p := range problems {
		if strings.Contains(p.Error(), text) {
			return true
		}
	}
	return false
}

func TestNoMessageHoldsASecret(t *testing.T) {
	for name, tc := range badDocuments() {
		_, problems := reader(t).Read(dir(map[string]string{"f.yaml": tc.text}))
		set, _ := reader(t).Read(dir(map[string]string{"f.yaml": goodSecret}))
		if out := fmt.Sprintf("%v %+v %v", problems, problems, set.Secrets); strings.Contains(out, "PRIVATE-KEY") || strings.Contains(out, "CERTIFICATE") {
			t.Errorf("%s: %s", name, out)
		}
	}
}

func TestBadFilesAreNamed(t *testing.T) {
	many := strings.Repeat("---\nkind: Namespace\n", manifest.MaxDocuments+5)
	files := map[string]string{
		"big.yaml": balancer("big") + "#" + strings.Repeat(" ", manifest.MaxFileBytes), "empty.yaml": "", "comment.yaml": "# nothing\n---\n",
		"latin.yaml": "a: \xe4", "zero.yaml": "a: \x00", "sep.yaml": balancer("sep") + "#\u2028", "good.yaml": balancer("good"), "z-many.yaml": many,
	}
	set, problems := reader(t).Read(dir(files))
	if diff := cmp.Diff([]string{"TruePACSBalancer default/good in good.yaml"}, objects(set)); diff != "" {
		t.Error(diff)
	}
	got := map[string]string{}
	for _, p := range problems {
		got[p.File] = p.Message
	}
	for file, want := range map[string]string{
		"big.yaml": "larger than 1024 KiB", "empty.yaml": "is empty", "comment.yaml": "is empty", "latin.yaml": "UTF-8", "zero.yaml": "UTF-8", "sep.yaml": "invisible", "z-many.yaml": "too many documents",
	} {
		if !strings.Contains(got[file], want) {
			t.Errorf("%s: %q, want %q", file, got[file], want)
		}
	}
}

func TestEmptyDirectoryIsAProblem(t *testing.T) {
	_, problems := reader(t).Read(dir(map[string]string{"README": "x"}))
	if len(problems) != 1 || problems[0].File != "." {
		t.Errorf("problems: %v", problems)
	}
	_, problems = reader(t).Read(os.DirFS("/nonexistent"))
	if len(problems) != 1 || problems[0].File != "." {
		t.Errorf("problems: %v", problems)
	}
}

func TestTheFirstOfTwoHasTheName(t *testing.T) {
	second := replace(balancer("x"), "192.0.2.100", "192.0.2.200")
	set, problems := reader(t).Read(dir(map[string]string{"a.yaml": balancer("x"), "b.yaml": second}))
	if len(set.Balancers) != 1 || set.Balancers[0].Spec.VirtualIPs[0].Address != "192.0.2.100" {
		t.Errorf("got %v", objects(set))
	}
	if len(problems) != 1 || problems[0].File != "b.yaml" || !strings.Contains(problems[0].Message, "a.yaml:1 already") {
		t.Errorf("problems: %v", problems)
	}
}

func TestKeep(t *testing.T) {
	past, _ := reader(t).Read(dir(map[string]string{"a.yaml": balancer("one") + "---\n" + balancer("two"), "s.yaml": goodSecret}))
	all := objects(past)
	broken := func(name string) string { return replace(balancer(name), "[104]", "[0]") }
	for name, tc := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"nothing changed":      {map[string]string{"a.yaml": balancer("one") + "---\n" + balancer("two"), "s.yaml": goodSecret}, all},
		"one removed":          {map[string]string{"a.yaml": balancer("two"), "s.yaml": goodSecret}, []string{all[0], all[2]}},
		"a file removed":       {map[string]string{"a.yaml": balancer("one") + "---\n" + balancer("two")}, all[1:]},
		"one bad, one removed": {map[string]string{"a.yaml": broken("one"), "s.yaml": goodSecret}, all[:2]},
		"bad in another file":  {map[string]string{"a.yaml": balancer("two"), "b.yaml": broken("one"), "s.yaml": goodSecret}, []string{all[0], all[1], all[2]}},
		"unreadable text":      {map[string]string{"a.yaml": "{", "s.yaml": goodSecret}, all},
		"a bad name":           {map[string]string{"a.yaml": balancer("two") + "---\n" + balancer("One"), "s.yaml": goodSecret}, all},
		"kind lost":            {map[string]string{"a.yaml": balancer("two") + "---\n" + replace(balancer("one"), "kind: TruePACSBalancer\n", ""), "s.yaml": goodSecret}, all},
		"a stranger":           {map[string]string{"a.yaml": balancer("two") + "---\nkind: Service\nmetadata: {name: x}\n", "s.yaml": goodSecret}, []string{all[0], all[2]}},
		"emptied file":         {map[string]string{"a.yaml": "", "s.yaml": goodSecret}, all},
		"emptied directory":    {nil, all},
		"bad Secret":           {map[string]string{"a.yaml": balancer("one") + "---\n" + balancer("two"), "s.yaml": replace(goodSecret, "tls.crt", "crt")}, all},
	} {
		t.Run(name, func(t *testing.T) {
			next, problems := reader(t).Read(dir(tc.files))
			kept := manifest.Keep(past, next, problems)
			if diff := cmp.Diff(tc.want, objects(kept)); diff != "" {
				t.Errorf("%v\n%s", problems, diff)
			}
			if len(kept.Balancers)+len(kept.Secrets) != len(tc.want) {
				t.Errorf("%d balancers and %d Secrets, want %d objects", len(kept.Balancers), len(kept.Secrets), len(tc.want))
			}
		})
	}
}
