package l7

import (
	"bytes"
	"testing"
)

// FuzzCookie checks that no cookie of ours reaches the server, and that nothing else is lost.
func FuzzCookie(f *testing.F) {
	f.Add([]byte("a=1; K=0123456789abcdef; b=2"))
	f.Add([]byte(`K="0123456789abcdef";K-01234567=x;;=`))
	c := newCookie("K", "p", true, false)
	f.Fuzz(func(t *testing.T, field []byte) {
		left := c.appendOthers(nil, field)
		if c.has(left) || len(left) > 2*len(field) {
			t.Fatalf("%q becomes %q", field, left)
		}
		if again := c.appendOthers(nil, left); !bytes.Equal(again, left) {
			t.Fatalf("%q becomes %q, then %q", field, left, again)
		}
		if !c.has(field) && countCookies(left) != countCookies(field) {
			t.Fatalf("%q lost cookies: %q", field, left)
		}
		if token, ok := c.find(field); ok && (!c.has(field) || !bytes.Contains(field, token[:])) {
			t.Fatalf("%q has token %q", field, token)
		}
	})
}

func countCookies(field []byte) (n int) {
	for rest := field; rest != nil; {
		var pair []byte
		if _, _, pair, rest = nextCookie(rest); len(pair) > 0 {
			n++
		}
	}
	return n
}

// FuzzPath checks that the path code stays within its bytes and keeps queries as they are.
func FuzzPath(f *testing.F) {
	f.Add([]byte("/dicom-web/%2e%2e/x?y=/../"))
	f.Add([]byte("/dicom-web/..;/%"))
	to := "/dicomweb"
	s := &service{routes: []route{{prefixes: []string{"/dicom-web"}, rewrite: &to}}}
	f.Fuzz(func(t *testing.T, target []byte) {
		climbs(target)
		r, matched := s.match(target)
		out := r.appendTarget(nil, target, matched)
		_, want := cutQuery(target)
		if _, query := cutQuery(out); !bytes.Equal(query, want) {
			t.Fatalf("%q became %q", target, out)
		}
		if r == &s.routes[0] && !bytes.HasPrefix(out, []byte(to)) {
			t.Fatalf("%q became %q", target, out)
		}
	})
}
