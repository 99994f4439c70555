package cmd

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/truepacs/balancer/dataplane/realserver/setup"
)

// runs runs a command and returns what it printed, its errors, and the exit status.
func runs(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, err bytes.Buffer
	status = Main(t.Context(), args, &out, &err)
	return out.String(), err.String(), status
}

const sample = "../../config/samples/radiology.yaml"

func TestRealserverSetupPrints(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "broken.yaml")
	if err := os.WriteFile(broken, []byte("kind: TruePACSBalancer\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		args   []string
		status int
		want   []string
	}{
		"from manifests":     {[]string{"--os", "linux", "-f", sample, "--server", "pacs-a"}, 0, []string{"VIPS4='192.0.2.100'", "tcp dport { 104, 11112 } accept", "METHOD=loopback"}},
		"from flags":         {[]string{"--os", "linux", "--vip", "192.0.2.7,2001:db8::7", "--port", "104", "--port", "514/udp", "--interface", "eth1"}, 0, []string{"VIPS6='2001:db8::7'", "udp dport { 514 }", "INTERFACES='eth1'"}},
		"another way":        {[]string{"--os", "linux", "-f", sample, "--method", "redirect"}, 0, []string{"METHOD=redirect", "dport { 104, 11112 } redirect"}},
		"tunnel":             {[]string{"--os", "linux", "-f", "../../config/samples/l4-tunnel.yaml"}, 0, []string{"METHOD=tunnel", "maxseg"}},
		"Windows":            {[]string{"--os", "windows", "-f", sample}, 0, []string{"$Vips", "NOT YET TESTED ON WINDOWS"}},
		"removal":            {[]string{"--os", "linux", "--remove"}, 0, []string{"ACT='--remove'"}},
		"removal on Windows": {[]string{"--os", "windows", "--remove"}, 0, []string{"$Remove = $true"}},
		"no system":          {nil, 1, []string{"--os linux or --os windows"}},
		"unknown system":     {[]string{"--os", "plan9", "-f", sample}, 1, []string{"linux or windows"}},
		"no such server":     {[]string{"--os", "linux", "-f", sample, "--server", "pacs-z"}, 1, []string{"pacs-z", "spec.serverPools"}},
		"no ports":           {[]string{"--os", "linux", "--vip", "192.0.2.7"}, 1, []string{"--vip and --port belong together"}},
		"wrong manifest":     {[]string{"--os", "linux", "-f", broken}, 1, []string{"broken.yaml"}},
		"nothing there":      {[]string{"--os", "linux", "--run-dir", t.TempDir()}, 1, []string{"-f FOLDER", "--vip 192.0.2.100 --port"}},
		"no method":          {[]string{"--os", "linux", "-f", sample, "--method", "magic"}, 1, []string{"loopback, redirect or tunnel"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", "")
			t.Setenv("KUBERNETES_SERVICE_HOST", "")
			stdout, stderr, status := runs(t, append([]string{"realserver-setup"}, tc.args...)...)
			text := stdout
			if tc.status != 0 {
				text = stderr
			}
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("%q is not in\n%.2000s", want, text)
				}
			}
			if status != tc.status || tc.status != 0 && stdout != "" {
				t.Errorf("status %d, stdout %q", status, stdout)
			}
		})
	}
}

func TestFindingsAreAnError(t *testing.T) {
	found := []setup.Finding{{Kind: setup.VIPMissing, Severity: setup.Broken, Subject: "192.0.2.100", Message: "it is not there", Remedy: "add it"}}
	for name, tc := range map[string]struct {
		found  []setup.Finding
		output string
		want   string
		failed bool
	}{
		"text":           {found, "text", "Broken (VIPMissing): it is not there\n    mend it: add it\n", true},
		"quiet":          {nil, "text", "The server is as it has to be.\n", false},
		"unknown output": {nil, "xml", "", true},
	} {
		var b bytes.Buffer
		if err := printFindings(&b, tc.found, tc.output); (err != nil) != tc.failed || b.String() != tc.want {
			t.Errorf("%s: %v\n%s", name, err, b.String())
		}
	}
	var b bytes.Buffer
	var got []setup.Finding
	if err := printFindings(&b, nil, "json"); err != nil || json.Unmarshal(b.Bytes(), &got) != nil || strings.TrimSpace(b.String()) != "[]" {
		t.Errorf("JSON of nothing is %q, %v", b.String(), err)
	}
}

// TestRealserverCheckKnowsItsServers: without --server this host must be one; a name needs balancers.
func TestRealserverCheckKnowsItsServers(t *testing.T) {
	for name, tc := range map[string]struct {
		args []string
		want string
	}{
		"not this host":      {[]string{"-f", sample}, "--server NAME"},
		"name without pools": {[]string{"--vip", "192.0.2.100", "--port", "104", "--server", "pacs-a"}, "server's address"},
		"another network":    {[]string{"--vip", "203.0.113.100", "--port", "104", "--server", "203.0.113.7"}, "no interface of this host"},
		"not there":          {[]string{"-f", filepath.Join(t.TempDir(), "x")}, "cannot be read"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, stderr, status := runs(t, append([]string{"realserver-check"}, tc.args...)...); status != 1 || !strings.Contains(stderr, tc.want) {
				t.Errorf("status %d, %q, want %q", status, stderr, tc.want)
			}
		})
	}
}
