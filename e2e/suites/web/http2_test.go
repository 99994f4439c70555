package web

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync/atomic"
	"testing"

	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// h2specTests is how many tests h2spec 2.2.1 makes, strict ones included.
const h2specTests = "146"

// TestH2specStrict has h2spec judge the HTTPS listener, strict tests included.
func TestH2specStrict(t *testing.T) {
	t.Parallel()
	in := newHost(t)
	a := newAuthority(t)
	var requests atomic.Int64
	peers.Start(t, in, peers.TruePACS, front(a.web("web", 443, serve(t, in, func(w http.ResponseWriter, _ *http.Request) {
		requests.Add(1)
		_, _ = w.Write([]byte("an answer"))
	}))))
	cmd := exec.Command(h2spec(t), "--strict", "--tls", "--insecure", "--timeout", "5", "--host", vip, "--port", "443")
	var printed printed.Text
	cmd.Stdout, cmd.Stderr = &printed, &printed
	err := peers.Launch(t, in, cmd).Wait()
	sum := regexp.MustCompile(`(\d+) tests, (\d+) passed, (\d+) skipped, (\d+) failed`).FindStringSubmatch(printed.String())
	if err != nil || sum == nil || sum[1] != h2specTests || sum[2] != h2specTests || requests.Load() == 0 {
		t.Fatalf("%v, %q of %s tests, %d requests reached the server; h2spec printed:\n%s", err, sum, h2specTests, requests.Load(), printed.String())
	}
	suite.Verdict(t, "h2spec strict: %s", sum[0])
}

// h2spec is the pinned program.
func h2spec(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("..", "..", "..", ".cache", "bin", "h2spec"))
	suite.Must(t, err)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("h2spec is missing, make tools builds it: %v", err)
	}
	return path
}
