package prove_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/lab"
)

const (
	vip           = "192.0.2.100"
	clientAddress = "192.0.2.50"
	nic           = "eth0"
)

// onlyNetAdmin runs a command as root with CAP_NET_ADMIN and no other capability;
// nobodyNetAdmin the same as a user without rights; noCapability as root without any.
var (
	onlyNetAdmin   = []string{"setpriv", "--bounding-set=-all,+net_admin", "--inh-caps=-all"}
	nobodyNetAdmin = []string{
		"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
		"--inh-caps=-all,+net_admin", "--ambient-caps=-all,+net_admin", "--bounding-set=-all,+net_admin",
	}
	nobody = []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"}
)

// capNetAdmin is the effective set that has CAP_NET_ADMIN (bit 12) alone.
const capNetAdmin = "0000000000001000\n"

// world is a LAN with a machine to ask and a client beside it.
type world struct {
	lab      *lab.Lab
	lan      *lab.Network
	director *lab.Machine
	client   *lab.Namespace
}

func newWorld(t *testing.T) world {
	t.Helper()
	l, err := lab.New(lab.Options{Name: "prove", Log: t.Logf})
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	probe := filepath.Join(l.Dir(), "probe")
	must(t, lab.BuildStatic(t.Context(), "./e2e/lab/prove/probe", probe))
	lan, err := l.Network("lan")
	must(t, err)
	director, err := l.Machine("director", lab.MachineSpec{
		NICs:  []lab.NIC{{Network: lan, Addresses: lab.Prefixes("192.0.2.2/24")}},
		Tools: []string{"ip", "ipvsadm", "nft", "setpriv"},
		Files: map[string]string{"/usr/bin/probe": probe},
	})
	must(t, err)
	client, err := l.Namespace("client", lab.NIC{Network: lan, Addresses: lab.Prefixes(clientAddress + "/24")})
	must(t, err)
	return world{lab: l, lan: lan, director: director, client: client}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// try runs a command and returns all it says and its status.
func try(t *testing.T, h lab.Host, argv ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	result, err := h.Run(ctx, argv...)
	must(t, err)
	return result.Stdout + result.Stderr, result.ExitCode
}

// run runs a command that has to succeed.
func run(t *testing.T, h lab.Host, argv ...string) string {
	t.Helper()
	output, status := try(t, h, argv...)
	if status != 0 {
		t.Fatalf("%s: %v: exit %d: %s", h.Name(), argv, status, output)
	}
	return output
}

// with puts a command behind a prefix such as onlyNetAdmin.
func with(prefix []string, argv ...string) []string {
	return append(append([]string{}, prefix...), argv...)
}

// loaded says whether a module is loaded.
func loaded(t *testing.T, h lab.Host, module string) bool {
	t.Helper()
	for line := range strings.Lines(run(t, h, "cat", "/proc/modules")) {
		if strings.Fields(line)[0] == module {
			return true
		}
	}
	return false
}

// verdict logs what was proved, once no check has failed.
func verdict(t *testing.T, samples int, format string, args ...any) {
	t.Helper()
	if t.Failed() {
		t.Logf("NOT SO, n=%d", samples)
		return
	}
	t.Logf("PROVED, n=%d: "+format, append([]any{samples}, args...)...)
}
