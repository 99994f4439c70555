package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/truepacs/balancer/"

// deps returns what a package needs, itself included, tests left out.
func deps(t *testing.T, pattern string) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", pattern).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", pattern, err)
	}
	return strings.Fields(string(out))
}

// TestDependenciesPointOneWay holds ARCHITECTURE.md against everything a package pulls in, also
// by way of others, which the linter's import rules do not see.
func TestDependenciesPointOneWay(t *testing.T) {
	kubernetes := []string{"k8s.io", "sigs.k8s.io"}
	above := []string{module + "api", module + "controllers", module + "internal"}
	clients := []string{"k8s.io/client-go/rest", "sigs.k8s.io/controller-runtime"}
	io := []string{"net/http", "os/exec"}
	drivers := []string{
		module + "dataplane/ipvs", module + "dataplane/nft", module + "dataplane/netif",
		module + "dataplane/announce", module + "dataplane/realserver", module + "dataplane/keeper",
	}
	for pattern, banned := range map[string][]string{
		"./dataplane/...":            slices.Concat(kubernetes, above),
		"./dataplane/model":          {module + "dataplane/plan", "golang.org", "github.com/go-logr"},
		"./dataplane/plan":           {module + "dataplane/ipvs", module + "dataplane/agent", "golang.org"},
		"./dataplane/dicom":          append(io, module+"dataplane/model"),
		"./dataplane/http1":          append(io, module+"dataplane/model"),
		"./dataplane/http2":          append(io, module+"dataplane/model"),
		"./dataplane/proxyproto":     append(io, module+"dataplane/model"),
		"./dataplane/eventloop":      append(io, module+"dataplane/model", module+"dataplane/l7"),
		"./dataplane/relay":          append(io, module+"dataplane/model", module+"dataplane/l7"),
		"./dataplane/stream":         append(io, module+"dataplane/model", module+"dataplane/l7"),
		"./dataplane/tlssession":     append(io, module+"dataplane/model", module+"dataplane/eventloop", "golang.org/x/sys"),
		"./dataplane/certs":          append(io, module+"dataplane/eventloop", "golang.org/x/sys"),
		"./dataplane/l7":             append(drivers, io...),
		"./dataplane/agent":          drivers,
		"./internal/translate":       slices.Concat(clients, drivers),
		"./internal/conditions":      slices.Concat(clients, drivers),
		"./internal/report":          slices.Concat(clients, drivers),
		"./controllers/balancer":     append(drivers, module+"internal/wiring"),
		"./controllers/installation": append(drivers, module+"internal/wiring"),
		"./e2e/lab":                  append(above, module+"dataplane"),
		"./e2e/cluster":              append(above, module+"dataplane"),
		".":                          {module + "e2e"},
	} {
		for _, dep := range deps(t, pattern) {
			if strings.HasPrefix(dep, module+"dataplane/testutil/") {
				continue // of no use but in tests, and needs nothing itself
			}
			for _, ban := range banned {
				if dep == ban || strings.HasPrefix(dep, ban+"/") {
					t.Errorf("%s needs %s", pattern, dep)
				}
			}
		}
	}
}
