package l7

import (
	"path"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestClimbs(t *testing.T) {
	for p, want := range map[string]bool{
		"/": false, "/a/b": false, "/..a": false, "/a..": false, "/...": false, "/a/.b": false, "//": false, "/a;..": false,
		"/x?a=/../b": false, "/%2": false, "/%252e%252e/": false, "/a/b.": false, "/.well-known/x": false, "/1.2.3": false,
		"/..": true, "/.": true, "/a/../b": true, "/a/./b": true, "/a/%2e%2e/b": true, "/a/%2E./b": true, "/a/.%2e": true,
		"/a/..;x/b": true, "/a/..;": true, "/a/.;/b": true, `/a\..\b`: true, "/a%5c..%5cb": true, "/a%2f..%2fb": true,
		"/a/..%2fb": true, "/a%2F%2e": true, "..": true, "/a/..%5C": true, "/a/%2e%2e%3b/": true,
	} {
		if got := climbs([]byte(p)); got != want {
			t.Errorf("%s climbs %v, want %v", p, got, want)
		}
	}
}

// Whatever is not refused stays below the prefix, also for a server that cleans paths.
func TestRewrittenPathStaysBelowPrefix(t *testing.T) {
	to := "/dicomweb"
	r := route{rewrite: &to}
	unescape := strings.NewReplacer("%2e", ".", "%2E", ".", "%2f", "/", "%2F", "/", "%5c", "/", "%5C", "/", `\`, "/")
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.SliceOf(rapid.SampledFrom([]string{"/", "..", ".", "%2e", "%2E", "%2f", "%5C", `\`, "a", ";", "?"})).Draw(t, "parts")
		in := "/dicom-web/" + strings.Join(parts, "")
		if climbs([]byte(in)) {
			return
		}
		out := string(r.appendTarget(nil, []byte(in), len("/dicom-web")))
		p, _ := cutQuery([]byte(out))
		segments := strings.Split(unescape.Replace(string(p)), "/")
		for i, s := range segments {
			segments[i], _, _ = strings.Cut(s, ";")
		}
		if clean := path.Clean(strings.Join(segments, "/")); clean != to && !strings.HasPrefix(clean, to+"/") {
			t.Fatalf("%s became %s, cleaned %s", in, out, clean)
		}
	})
}

func TestAppendTarget(t *testing.T) {
	str := func(s string) *string { return &s }
	for name, tc := range map[string]struct {
		rewrite *string
		path    string
		matched int
		want    string
	}{
		"as it is":          {nil, "/a/b?c", 2, "/a/b?c"},
		"no path":           {nil, "", 0, "/"},
		"query only":        {nil, "?q", 0, "/?q"},
		"prefix":            {str("/x"), "/a/b?c", 2, "/x/b?c"},
		"whole":             {str("/x"), "/a", 2, "/x"},
		"whole with query":  {str("/x"), "/a?c", 2, "/x?c"},
		"to the root":       {str(""), "/a/b", 2, "/b"},
		"all to the root":   {str(""), "/a", 2, "/"},
		"query to the root": {str(""), "/a?q", 2, "/?q"},
		"from the root":     {str("/x"), "/b", 0, "/x/b"},
	} {
		t.Run(name, func(t *testing.T) {
			r := route{rewrite: tc.rewrite}
			if got := string(r.appendTarget(nil, []byte(tc.path), tc.matched)); got != tc.want {
				t.Errorf("%q, want %q", got, tc.want)
			}
		})
	}
}

func TestFirstRouteWins(t *testing.T) {
	s := &service{routes: []route{
		{name: "long", prefixes: []string{"/a/b"}}, {name: "short", prefixes: []string{"/x", "/a"}}, {name: "never", prefixes: []string{"/a/c"}},
	}, fallback: route{name: "default"}}
	for p, want := range map[string]string{"/a/b/c": "long", "/a/c": "short", "/a": "short", "/x/": "short", "/ab": "default", "/": "default", "": "default", "*": "default", "/a?/a/b": "short"} {
		if r, _ := s.match([]byte(p)); r.name != want {
			t.Errorf("%q goes to %s, want %s", p, r.name, want)
		}
	}
	s.routes = []route{{name: "all", prefixes: []string{""}}}
	if r, _ := s.match([]byte("/anything")); r.name != "all" {
		t.Error("the prefix / does not match every path")
	}
}

func TestTemplateHoldsKnownWordsOnly(t *testing.T) {
	for in, want := range map[string]string{
		"/dicom-web/studies/1.2/series/3/metadata?x=y": `"/dicom-web/studies/{}/series/{}/metadata"`,
		"/SMITH^JOHN/studies":                          `"/{}/studies"`,
		"/":                                            `""`,
		strings.Repeat("/a", 50):                       `"` + strings.Repeat("/{}", maxElements) + `"`,
	} {
		if got := string(appendTemplate(nil, []byte(in), 0)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := string(appendTemplate(nil, []byte("/site-a/9/frames"), len("/site-a"))); got != `"/site-a/{}/frames"` {
		t.Errorf("with prefix: %s", got)
	}
}
