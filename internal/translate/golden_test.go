package translate_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/schema"
	"github.com/truepacs/balancer/internal/translate"
)

var update = flag.Bool("update", false, "write the golden files anew")

// scenario is a golden input. Each step changes the input field by field; what one step keeps is
// the next one's past.
type scenario struct {
	About string            `json:"about"`
	Steps []json.RawMessage `json:"steps"`
}

// stepInput adds to an Input what is not JSON as it stands.
type stepInput struct {
	translate.Input
	// SecretFiles are certificate and key in testdata/certs by namespace/name of the Secret;
	// "absent" is a Secret that is not there. A third and fourth are ca.crt and ca.crl.
	SecretFiles map[string][]string `json:"secretFiles"`
	// Services are the endpoints of Services by namespace/name; null is one of which there is
	// nothing.
	Services map[string][]translate.ServiceEndpoint `json:"services"`
	// Restarted says that the agent has just started: its past comes from a disk, without keys.
	Restarted bool `json:"restarted"`
	// Forget says that the agent has no past.
	Forget bool `json:"forget"`
}

// stepResult is a result as golden files show it.
type stepResult struct {
	Node      model.Node                          `json:"node"`
	Balancers map[string]translate.BalancerResult `json:"balancers"`
	Kept      []string                            `json:"kept,omitempty"`
}

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.yaml")
	if err != nil || len(files) < 70 {
		t.Fatalf("%d golden inputs, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".in.yaml"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	var sc scenario
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(text, &sc); err != nil {
		t.Fatal(err)
	}
	got, err := yaml.Marshal(play(t, sc))
	if err != nil {
		t.Fatal(err)
	}
	goldenFile := strings.TrimSuffix(file, ".in.yaml") + ".out.yaml"
	if *update {
		if err := os.WriteFile(goldenFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s (run with -update if this is meant):\n%s", sc.About, diff)
	}
}

func play(t *testing.T, sc scenario) []stepResult {
	t.Helper()
	var in stepInput
	var out []stepResult
	for _, raw := range sc.Steps {
		in.Restarted, in.Forget = false, false
		forgetReplaced(t, &in, raw)
		if err := yaml.UnmarshalStrict(raw, &in); err != nil {
			t.Fatal(err)
		}
		in.Secrets = readSecrets(t, in.SecretFiles)
		in.Endpoints = byNamespacedName(in.Services)
		prepare(&in)
		checkInputs(t, in.Input)
		result := translateTwice(t, in.Input)
		in.Previous = stored(t, result.Kept)
		out = append(out, shown(result))
	}
	return out
}

// forgetReplaced empties the fields that a step brings, for JSON would merge old and new.
func forgetReplaced(t *testing.T, in *stepInput, raw json.RawMessage) {
	t.Helper()
	var has map[string]json.RawMessage
	if err := json.Unmarshal(raw, &has); err != nil {
		t.Fatal(err)
	}
	if has["nodes"] != nil {
		in.Nodes = nil
	}
	if has["node"] != nil {
		in.Node = translate.Node{}
	}
	if has["balancers"] != nil {
		in.Balancers = nil
	}
	if has["services"] != nil {
		in.Services = nil
	}
}

func prepare(in *stepInput) {
	if in.Forget {
		in.Previous = nil
	}
	if in.Restarted {
		for key, k := range in.Previous {
			in.Previous[key] = k.WithoutKeys()
		}
	}
}

// checkInputs: golden inputs are what an API server accepts.
func checkInputs(t *testing.T, in translate.Input) {
	t.Helper()
	v, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range in.Balancers {
		if errs := v.Validate(b); len(errs) > 0 {
			t.Errorf("input %s/%s is refused by the schema: %v", b.Namespace, b.Name, errs.ToAggregate())
		}
	}
}

var compiled = sync.OnceValues(schema.New)

// translateTwice also proves that the order of the input's lists is of no account and that the
// input is left alone.
func translateTwice(t *testing.T, in translate.Input) translate.Result {
	t.Helper()
	before := dump(t, in)
	result := translate.Translate(in)
	if diff := cmp.Diff(before, dump(t, in)); diff != "" {
		t.Errorf("Translate changed its input:\n%s", diff)
	}
	slices.Reverse(in.Balancers)
	slices.Reverse(in.Nodes)
	slices.Reverse(in.Node.Interfaces)
	if diff := cmp.Diff(dump(t, result), dump(t, translate.Translate(in))); diff != "" {
		t.Errorf("the order of the input matters:\n%s", diff)
	}
	return result
}

func dump(t *testing.T, v any) string {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if r, ok := v.(translate.Result); ok {
		text = append(text, dump(t, byName(r.Balancers))...)
	}
	return string(text)
}

// stored passes the past through JSON, as the agent does.
func stored(t *testing.T, kept map[string]translate.Kept) map[string]translate.Kept {
	t.Helper()
	raw, err := json.Marshal(kept)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]translate.Kept
	if err := json.Unmarshal(raw, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// shown cuts keys and certificates short.
func shown(r translate.Result) stepResult {
	out := stepResult{Node: r.Node, Balancers: byName(r.Balancers)}
	for key := range r.Kept {
		out.Kept = append(out.Kept, key)
	}
	slices.Sort(out.Kept)
	for i := range out.Node.Proxy.Listeners {
		if tls := out.Node.Proxy.Listeners[i].TLS; tls != nil {
			for j, c := range tls.Certificates {
				tls.Certificates[j] = model.Certificate{Name: c.Name, CertPEM: mark(c.CertPEM), KeyPEM: head(c.KeyPEM)}
			}
			if tls.Clients != nil {
				clients := *tls.Clients
				clients.CA.Data = mark(clients.CA.Data)
				if clients.CRL != nil {
					clients.CRL = &model.Bundle{Name: clients.CRL.Name, Data: mark(clients.CRL.Data)}
				}
				tls.Clients = &clients
			}
		}
	}
	return out
}

// mark says which file of testdata/certs it is.
func mark(text []byte) []byte {
	files, _ := filepath.Glob("testdata/certs/*")
	for _, file := range files {
		if is, err := os.ReadFile(file); err == nil && bytes.Equal(is, text) {
			return []byte(filepath.Base(file))
		}
	}
	return head(text)
}

func head(pem []byte) []byte { return pem[:min(len(pem), 30)] }

func byName(m map[types.NamespacedName]translate.BalancerResult) map[string]translate.BalancerResult {
	out := map[string]translate.BalancerResult{}
	for name, b := range m {
		out[name.String()] = b
	}
	return out
}

func byNamespacedName(services map[string][]translate.ServiceEndpoint) map[types.NamespacedName][]translate.ServiceEndpoint {
	out := map[types.NamespacedName][]translate.ServiceEndpoint{}
	for name, endpoints := range services {
		namespace, name, _ := strings.Cut(name, "/")
		out[types.NamespacedName{Namespace: namespace, Name: name}] = endpoints
	}
	return out
}

func readSecrets(t *testing.T, files map[string][]string) map[types.NamespacedName]translate.Secret {
	t.Helper()
	out := map[types.NamespacedName]translate.Secret{}
	for name, pair := range files {
		namespace, name, _ := strings.Cut(name, "/")
		key := types.NamespacedName{Namespace: namespace, Name: name}
		if pair[0] == "absent" {
			out[key] = translate.Secret{}
			continue
		}
		secret := translate.Secret{Found: true, CertPEM: certFile(t, pair[0]), KeyPEM: certFile(t, pair[1]), Data: map[string][]byte{}}
		for i, key := range []string{"ca.crt", "ca.crl"} {
			if len(pair) > 2+i {
				secret.Data[key] = certFile(t, pair[2+i])
			}
		}
		out[key] = secret
	}
	return out
}

func certFile(t *testing.T, name string) []byte {
	t.Helper()
	if name == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join("testdata/certs", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}
