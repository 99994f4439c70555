package manifest_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/internal/manifest"
	"github.com/truepacs/balancer/internal/schema"
)

var compiled = sync.OnceValues(schema.New)

func reader(t testing.TB) *manifest.Reader {
	t.Helper()
	v, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	return manifest.NewReader(v)
}

// balancer is a good manifest without a leading document marker.
func balancer(name string) string {
	return `apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata:
  name: ` + name + `
spec:
  virtualIPs:
  - {name: main, address: 192.0.2.100}
  serverPools:
  - name: archive
    servers: [{name: pacs-a, address: 192.0.2.11}]
  virtualServices:
  - {name: dicom, virtualIPs: [main], mode: L4DR, ports: [104], serverPool: archive}
`
}

const goodSecret = `apiVersion: v1
kind: Secret
metadata: {name: tls}
type: kubernetes.io/tls
stringData: {tls.crt: CERTIFICATE, tls.key: PRIVATE-KEY}
`

func dir(files map[string]string) fstest.MapFS {
	out := fstest.MapFS{}
	for name, text := range files {
		out[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return out
}

// objects lists what was read, sorted.
func objects(s manifest.Set) []string {
	out := []string{}
	for o, file := range s.Files {
		out = append(out, fmt.Sprintf("%s in %s", o, file))
	}
	slices.Sort(out)
	return out
}

func TestReadsWhatIsGood(t *testing.T) {
	json := `{"apiVersion": "lb.truepacs.io/v1alpha1", "kind": "TruePACSBalancer",
	"metadata": {"name": "j", "namespace": "imaging", "creationTimestamp": "2026-01-01T00:00:00Z"},
	"spec": {"virtualIPs": [{"name": "m", "address": "192.0.2.9"}], "serverPools": [{"name": "p", "servers": [{"name": "s", "address": "192.0.2.8"}]}],
		"virtualServices": [{"name": "d", "virtualIPs": ["m"], "mode": "L4DR", "ports": [104], "serverPool": "p"}]},
	"status": {"virtualIPs": [{"name": "m", "activeNode": "x"}]}}`
	set, problems := reader(t).Read(dir(map[string]string{
		"b.yaml":             "# comment\n---\n" + balancer("one") + "---\n" + goodSecret + "...\n" + balancer("two") + "--- \n# nothing\n",
		"a.json":             json,
		"c.yml":              "\ufeff" + strings.ReplaceAll(balancer("crlf"), "\n", "\r\n"),
		"l.yaml":             "apiVersion: v1\nkind: List\nitems:\n- " + strings.ReplaceAll(strings.TrimSpace(balancer("item")), "\n", "\n  ") + "\n",
		"m.yaml":             strings.ReplaceAll("---\n"+balancer("mac")+"---\n"+balancer("mac2"), "\n", "\r"),
		"n.yaml":             "apiVersion: v1\nkind: Namespace\nmetadata: {name: imaging}\n",
		"r.yaml":             "--- {apiVersion: v1, kind: Secret, metadata: {name: one-line}, type: kubernetes.io/tls, data: {tls.crt: QQ==, tls.key: Qg==}}\n",
		"README.md":          "not: [a manifest",
		".hidden.yaml":       "{",
		"b.yaml.swp":         "{",
		"b.yaml~":            "{",
		"b.yaml.bak":         "{",
		"#b.yaml#":           "{",
		"sub/c.yaml":         "{",
		"dir.yaml/inner.txt": "{",
	}))
	if len(problems) > 0 {
		t.Fatalf("problems: %v", problems)
	}
	want := []string{
		"Secret default/one-line in r.yaml", "Secret default/tls in b.yaml",
		"TruePACSBalancer default/crlf in c.yml", "TruePACSBalancer default/item in l.yaml",
		"TruePACSBalancer default/mac in m.yaml", "TruePACSBalancer default/mac2 in m.yaml",
		"TruePACSBalancer default/one in b.yaml", "TruePACSBalancer default/two in b.yaml",
		"TruePACSBalancer imaging/j in a.json",
	}
	if diff := cmp.Diff(want, objects(set)); diff != "" {
		t.Error(diff)
	}
	checkOrder(t, set)
}

// checkOrder: files and documents in order; without a time of creation the order stands for it.
func checkOrder(t *testing.T, set manifest.Set) {
	t.Helper()
	var names []string
	for i, b := range set.Balancers {
		names = append(names, b.Name)
		if b.Name != "j" && b.CreationTimestamp.Unix() != int64(i) {
			t.Errorf("%s was created at %v", b.Name, b.CreationTimestamp)
		}
		if len(b.Status.VirtualIPs) > 0 {
			t.Errorf("%s: the status in the file is believed", b.Name)
		}
	}
	if diff := cmp.Diff([]string{"j", "one", "two", "crlf", "item", "mac", "mac2"}, names); diff != "" {
		t.Error(diff)
	}
	if y := set.Balancers[0].CreationTimestamp.Year(); y != 2026 {
		t.Errorf("the time in the file is lost: %d", y)
	}
	for name, s := range set.Secrets {
		if name.Name == "one-line" && (string(s.CertPEM) != "A" || string(s.KeyPEM) != "B") {
			t.Errorf("base64 data: %q, %q", s.CertPEM, s.KeyPEM)
		}
	}
}

// TestReadingAgain: what has not changed is the same, whatever was done with it meanwhile; what has changed is as it is
// written.
func TestReadingAgain(t *testing.T) {
	item := func(name, address string) string {
		return `{"apiVersion": "lb.truepacs.io/v1alpha1", "kind": "TruePACSBalancer", "metadata": {"name": "` + name + `"}, "spec": {
			"virtualIPs": [{"name": "m", "address": "` + address + `"}], "serverPools": [{"name": "p", "servers": [{"name": "s", "address": "192.0.2.8"}]}],
			"virtualServices": [{"name": "d", "virtualIPs": ["m"], "mode": "L4DR", "ports": [104], "serverPool": "p"}]}}`
	}
	list := func(addresses ...string) string {
		text := `{"apiVersion": "v1", "kind": "List", "items": [`
		for i, a := range addresses {
			text += strings.Join(strings.Fields(item(fmt.Sprint("i", i), a)), " ") + ", "
		}
		return strings.TrimSuffix(text, ", ") + "]}" // all in one line
	}
	r := reader(t)
	read := func(addresses ...string) (got []string) {
		set, problems := r.Read(dir(map[string]string{"l.json": list(addresses...)}))
		for _, b := range set.Balancers {
			for i := range b.Spec.VirtualIPs {
				got = append(got, b.Spec.VirtualIPs[i].Address)
				b.Spec.VirtualIPs[i].Address = "used"
			}
		}
		for _, p := range problems {
			got = append(got, p.Error())
		}
		return got
	}
	for _, addresses := range [][]string{
		{"192.0.2.1", "192.0.2.2"}, {"192.0.2.1", "192.0.2.2"}, {"192.0.2.1", "192.0.2.3"}, {"192.0.2.2", "192.0.2.1"}, {"192.0.2.2"},
	} {
		if diff := cmp.Diff(addresses, read(addresses...)); diff != "" {
			t.Error(diff)
		}
	}
	if got := read("192.0.2.2", "nowhere"); len(got) != 2 || got[0] != "192.0.2.2" || !strings.Contains(got[1], "nowhere") {
		t.Errorf("read %v", got)
	}
	if got := read("192.0.2.2", "nowhere"); len(got) != 2 || !strings.Contains(got[1], "nowhere") {
		t.Errorf("read again %v", got)
	}
}

func TestSamplesAreRead(t *testing.T) {
	set, problems := reader(t).ReadPath("../../config/samples")
	if len(problems) > 0 || len(set.Balancers) < 3 || len(set.Secrets) < 1 {
		t.Errorf("%d balancers, %d Secrets, problems %v", len(set.Balancers), len(set.Secrets), problems)
	}
}

func TestReadPath(t *testing.T) {
	tmp := t.TempDir()
	file := filepath.Join(tmp, "odd name.conf")
	if err := os.WriteFile(file, []byte(balancer("x")), 0o600); err != nil {
		t.Fatal(err)
	}
	if set, problems := reader(t).ReadPath(file); len(set.Balancers) != 1 || len(problems) > 0 {
		t.Errorf("a single file: %d balancers, %v", len(set.Balancers), problems)
	}
	_, problems := reader(t).ReadPath(filepath.Join(tmp, "absent"))
	if len(problems) != 1 || problems[0].File != "." || strings.Count(problems[0].Message, "absent") != 1 {
		t.Errorf("an absent path: %v", problems)
	}
}

func TestSymbolicLinksAreFollowedAndPipesAreNotOpened(t *testing.T) {
	tmp := t.TempDir()
	data := filepath.Join(tmp, "..data")
	must(t, os.Mkdir(data, 0o700))
	must(t, os.WriteFile(filepath.Join(data, "x.yaml"), []byte(balancer("x")), 0o600))
	must(t, os.Symlink("..data/x.yaml", filepath.Join(tmp, "x.yaml")))
	must(t, os.Symlink("nowhere", filepath.Join(tmp, "broken.yaml")))
	makePipe(t, filepath.Join(tmp, "pipe.yaml"))
	set, problems := reader(t).ReadPath(tmp)
	if diff := cmp.Diff([]string{"TruePACSBalancer default/x in x.yaml"}, objects(set)); diff != "" {
		t.Error(diff)
	}
	if len(problems) != 2 || problems[0].File != "broken.yaml" || !strings.Contains(problems[1].Message, "regular file") {
		t.Errorf("problems: %v", problems)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
