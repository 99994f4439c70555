package l7

import (
	"errors"
	"strings"

	"github.com/truepacs/balancer/dataplane/model"
)

// ErrPath says that a path is refused before routes are looked at.
var ErrPath = errors.New("the path has an element . or .., which a server might follow out of its folder: write it without")

// RouteFor returns the route that a request for path takes at a listener of HTTP, and its pool; the
// route's name is default if it takes none of them. An empty path is /. The path is as it stands in
// requests, with or without query.
func RouteFor(l *model.Listener, path string) (name, pool string, err error) {
	if path == "" {
		path = "/"
	}
	if len(l.Routes) > 0 && climbs([]byte(path)) {
		return "", "", ErrPath
	}
	s := service{fallback: route{name: defaultRoute}}
	for _, m := range l.Routes {
		s.routes = append(s.routes, route{name: m.Name, prefixes: prefixesOf(m)})
	}
	r, _ := s.match([]byte(path))
	for i := range s.routes {
		if r == &s.routes[i] {
			return r.name, l.Routes[i].Pool, nil
		}
	}
	return r.name, l.Pool, nil
}

const defaultRoute = "default"

// prefixesOf are a route's prefixes as they are compared.
func prefixesOf(m model.Route) []string {
	var out []string
	for _, p := range m.PathPrefixes {
		out = append(out, strings.TrimSuffix(p, "/"))
	}
	return out
}
