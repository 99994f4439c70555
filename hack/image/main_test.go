package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunPacksAStaticProgram(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	source := filepath.Join(dir, "main.go")
	if err := os.WriteFile(source, []byte("package main\nfunc main() { println(1) }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", program, source)
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	output := filepath.Join(dir, "image.tar")
	err := run([]string{"-program", program, "-reference", "example.org/x:v1", "-output", output}, func(string) string { return "1700000000" })
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(output); err != nil || info.Size() < 1<<20 {
		t.Errorf("archive %v, %v", info, err)
	}
}

func TestRunRefuses(t *testing.T) {
	tests := map[string]struct {
		program, epoch, want string
	}{
		"a dynamic program": {"/bin/sh", "", "CGO_ENABLED=0"},
		"a text file":       {"main.go", "", "no Linux executable"},
		"a bad date":        {"main.go", "yesterday", "seconds since 1970"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			err := run([]string{"-program", tc.program, "-reference", "x:1", "-output", filepath.Join(t.TempDir(), "x")},
				func(string) string { return tc.epoch })
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want an error that says %q", err, tc.want)
			}
		})
	}
}
