package render_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/internal/render"
)

const image = "image: truepacs/balancer:v1\n"

func TestParseKeepsDefaultsOfWhatIsNotSaid(t *testing.T) {
	got, err := render.Parse([]byte(image + "proxy: {nodeSelector: {a: b}}\nmarkRange: {first: 0x10000, last: 131071}\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := render.Default()
	want.Image = "truepacs/balancer:v1"
	want.Proxy.NodeSelector = map[string]string{"a": "b"}
	want.MarkRange = render.MarkRange{First: 1 << 16, Last: 1<<17 - 1}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"no image":             {"logVerbosity: 1", `image: "" is no image: write a name with tag or digest`},
		"image with a space":   {`image: "a b"`, `image: "a b" is no image`},
		"unknown field":        {image + "imagePulPolicy: Always", "imagePulPolicy"},
		"unknown nested field": {image + "agent: {nodeselector: {a: b}}", "nodeselector"},
		"doubled key":          {image + image, `key "image" already set`},
		"not YAML":             {"\t:", "not valid YAML"},
		"pull policy":          {image + "imagePullPolicy: always", "write Always, IfNotPresent or Never"},
		"pull secret":          {image + "imagePullSecrets: [A_B]", `imagePullSecrets[0]: "A_B" is no name of a Secret`},
		"verbosity":            {image + "logVerbosity: 11", "logVerbosity: 11 is out of range: write 0 to 10"},
		"relative path":        {image + "hostPaths: {run: run/truepacs}", "hostPaths.run"},
		"root as path":         {image + "hostPaths: {state: /}", "hostPaths.state"},
		"top directory":        {image + "hostPaths: {state: /etc}", "hostPaths.state"},
		"dot dot":              {image + "hostPaths: {state: /var/../etc}", "hostPaths.state"},
		"state inside run":     {image + "hostPaths: {state: /run/truepacs/state}", "neither inside the other"},
		"run inside state":     {image + "hostPaths: {run: /var/lib/truepacs/run}", "neither inside the other"},
		"checks in state":      {image + "hostPaths: {checks: /var/lib/truepacs/checks}", "hostPaths.checks"},
		"checks relative":      {image + "hostPaths: {checks: checks}", "hostPaths.checks"},
		"mark zero":            {image + "markRange: {first: 0, last: 900}", "markRange: 0 to 900 will not do"},
		"marks too few":        {image + "markRange: {first: 10, last: 20}", "markRange: 10 to 20 will not do"},
		"marks not aligned":    {image + "markRange: {first: 65537, last: 131072}", "first a multiple of their number"},
		"marks too many":       {image + "markRange: {first: 0x20000000, last: 0x3fffffff}", "markRange"},
		"marks no power of 2":  {image + "markRange: {first: 0x60000, last: 0x8ffff}", "markRange"},
		"marks backwards":      {image + "markRange: {first: 900, last: 10}", "markRange"},
		"mark too large":       {image + "markRange: {first: 1, last: 4294967296}", "markRange.last"},
		"reserved label":       {image + "agent: {podLabels: {app.kubernetes.io/name: x}}", "set by the operator"},
		"reserved annotation":  {image + "agent: {podAnnotations: {lb.truepacs.io/x: x}}", "set by the operator"},
		"bad label value":      {image + "proxy: {podLabels: {a: 'b c'}}", "proxy.podLabels"},
		"request over limit":   {image + "proxy: {resources: {requests: {memory: 2Gi}, limits: {memory: 1Gi}}}", "the request of memory (2Gi) is above its limit (1Gi)"},
		"too long":             {image + strings.Repeat("#", 64<<10), "at most 65536 are allowed"},
		"priority class":       {image + "priorityClassName: A_B", "priorityClassName"},
		"claims":               {image + "agent: {resources: {claims: [{name: x}]}}", "resource claims are not supported"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := render.Parse([]byte(tc.text))
			if !errors.Is(err, render.ErrSettings) {
				t.Fatalf("got error %v, want ErrSettings", err)
			}
			if !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %q does not say %q", err, tc.want)
			}
		})
	}
}

func TestParseReportsEveryFault(t *testing.T) {
	_, err := render.Parse([]byte("logVerbosity: -1\nhostPaths: {run: x}\nagent: {podLabels: {'a b': c}}"))
	for _, field := range []string{"image", "logVerbosity", "hostPaths.run", "agent.podLabels"} {
		if err == nil || !strings.Contains(err.Error(), field+":") {
			t.Errorf("%v does not name %s", err, field)
		}
	}
}

func TestReadFileNamesTheConfigMap(t *testing.T) {
	_, err := render.ReadFile(t.TempDir() + "/absent.yaml")
	if err == nil || !strings.Contains(err.Error(), render.SettingsName) {
		t.Errorf("got %v", err)
	}
}

// FuzzParse: whatever is accepted can be rendered, twice with the same result.
func FuzzParse(f *testing.F) {
	f.Add([]byte(image))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := render.Parse(text)
		if err != nil {
			if !errors.Is(err, render.ErrSettings) {
				t.Fatalf("error without ErrSettings: %v", err)
			}
			return
		}
		if diff := cmp.Diff(documents(t, mustRender(t, s, place())), documents(t, mustRender(t, s, place()))); diff != "" {
			t.Fatal(diff)
		}
	})
}
