package kernel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const modulesDep = `kernel/a.ko:
kernel/b.ko: kernel/a.ko
kernel/c-d.ko: kernel/b.ko kernel/a.ko kernel/e.ko
kernel/e.ko: kernel/a.ko
`

func TestClosure(t *testing.T) {
	cases := map[string]struct {
		names []string
		want  []string
		fails bool
	}{
		"dependencies first, once": {[]string{"c_d", "b"}, []string{"kernel/a.ko", "kernel/b.ko", "kernel/e.ko", "kernel/c-d.ko"}, false},
		"dash is underscore":       {[]string{"c-d"}, []string{"kernel/a.ko", "kernel/b.ko", "kernel/e.ko", "kernel/c-d.ko"}, false},
		"unknown":                  {[]string{"zfs"}, nil, true},
		"none":                     {nil, nil, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := Closure(strings.NewReader(modulesDep), tc.names...)
			if (err != nil) != tc.fails {
				t.Fatalf("error: %v", err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("order (-want +got):\n%s", diff)
			}
		})
	}
	if _, err := Closure(strings.NewReader("no colon\n"), "a"); err == nil {
		t.Error("a broken modules.dep was accepted")
	}
}

func TestRealPackage(t *testing.T) {
	answer := "linux-image-cloud-amd64\n  Depends: linux-image-6.1.0-49-cloud-amd64\n"
	if got, want := realPackage(answer), "linux-image-6.1.0-49-cloud-amd64"; got != want {
		t.Errorf("package is %q, want %q", got, want)
	}
	if got := realPackage("  Depends: initramfs-tools\n"); got != "" {
		t.Errorf("package is %q", got)
	}
}
