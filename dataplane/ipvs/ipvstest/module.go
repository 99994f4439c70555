package ipvstest

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Unload removes ip_vs and what needs it from the kernel. Namespaces of other tests may still be on their way out.
func Unload(t testing.TB) {
	t.Helper()
	var out []byte
	for range 100 {
		modules, err := os.ReadFile("/proc/modules")
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for line := range strings.Lines(string(modules)) {
			if name, _, _ := strings.Cut(line, " "); strings.HasPrefix(name, "ip_vs_") {
				names = append(names, name)
			}
		}
		if out, err = exec.CommandContext(t.Context(), "rmmod", append(names, "ip_vs")...).CombinedOutput(); err == nil {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("ip_vs cannot be unloaded: %s", out)
}
