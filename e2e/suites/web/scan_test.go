package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// finding is one of testssl.sh.
type finding struct {
	ID, Severity, Finding string
}

func (f finding) String() string { return fmt.Sprintf("%s: %s: %s", f.Severity, f.ID, f.Finding) }

// low are the severities that are no fault. WARN is not among them: it says that a check could not be made.
var low = []string{"OK", "INFO", "DEBUG", "LOW"}

// tolerated are findings above LOW that are not about the listener.
var tolerated = map[string]string{
	"engine_problem": "Debian's OpenSSL, which the scanner uses, has no GOST: those suites are tried by sockets",
}

// TestScannerFindsNothing has testssl.sh look at the HTTPS listener, with a certificate of the test's own authority and an
// application that sends the security headers a viewer has to. WEB_SCAN=2 makes all of its checks, which take two minutes on an
// idle machine; else those of protocols and headers.
func TestScannerFindsNothing(t *testing.T) {
	t.Parallel()
	extent, err := suite.Number("WEB_SCAN", 1)
	suite.Must(t, err)
	in := newHost(t)
	a := newAuthority(t)
	peers.Start(t, in, peers.TruePACS, front(a.web("web", 443, application(t, in))))
	file := filepath.Join(t.TempDir(), "findings.json")
	args := []string{"--quiet", "--color", "0", "--warnings", "off", "--nodns", "none", "--ip", vip, "--add-ca", a.ca, "--jsonfile", file}
	if extent < 2 {
		args = append(args, "--protocols", "--headers")
	}
	// The scanner asks ps for its own processes, so it needs the /proc of its process namespace.
	const begin = `mount -t proc proc /proc && exec testssl "$@"`
	cmd := exec.Command("unshare", append([]string{"--mount", "sh", "-c", begin, "sh"}, append(args, host+":443")...)...)
	var printed printed.Text
	cmd.Stdout, cmd.Stderr = &printed, &printed
	began := time.Now()
	if err := peers.Launch(t, in, cmd).Wait(); err != nil {
		t.Logf("testssl.sh ended with %v", err) // its status counts findings
	}
	all := read(t, file)
	notes := 0
	for _, f := range all {
		switch {
		case slices.Contains(low, f.Severity):
			if f.Severity == "LOW" {
				notes++
				t.Log(f)
			}
		case tolerated[f.ID] != "":
			t.Logf("%s (tolerated: %s)", f, tolerated[f.ID])
		default:
			t.Error(f)
		}
	}
	for _, id := range []string{"TLS1_2", "TLS1_3", "HTTP_status_code", "HSTS_time", "X-Frame-Options"} {
		if !slices.ContainsFunc(all, func(f finding) bool { return f.ID == id }) {
			t.Errorf("%s was not looked at; testssl.sh printed:\n%s", id, printed.String())
		}
	}
	if least := map[bool]int{false: 10, true: 100}[extent > 1]; len(all) < least {
		t.Errorf("only %d checks were made, want %d; testssl.sh printed:\n%s", len(all), least, printed.String())
	}
	suite.Verdict(t, "testssl.sh made %d checks in %s, none found anything above LOW; %d are LOW", len(all), time.Since(began).Round(time.Second), notes)
}

// read reads the findings.
func read(t *testing.T, file string) (all []finding) {
	t.Helper()
	text, err := os.ReadFile(file)
	suite.Must(t, err)
	suite.Must(t, json.Unmarshal(text, &all))
	return all
}

// application is a server that sends what browsers need to be careful.
func application(t *testing.T, in peers.Host) netip.AddrPort {
	t.Helper()
	return serve(t, in, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Strict-Transport-Security", "max-age=63072000; includeSubDomains")
		h.Set("Content-Security-Policy", "default-src 'self'")
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		fmt.Fprint(w, "<html></html>")
	})
}

// serve starts a server of net/http on a host.
func serve(t *testing.T, in peers.Host, handle http.HandlerFunc) netip.AddrPort {
	t.Helper()
	l := listen(t, in, server+":0")
	s := &http.Server{Handler: handle}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return netip.MustParseAddrPort(l.Addr().String())
}
