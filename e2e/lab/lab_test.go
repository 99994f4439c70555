package lab_test

import (
	"context"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/lab"
)

// newLab makes a lab that the end of the test removes.
func newLab(t *testing.T) *lab.Lab {
	t.Helper()
	l, err := lab.New(lab.Options{Name: "test", Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// run runs a command that has to succeed and returns its output.
func run(t *testing.T, h lab.Host, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	result, err := h.Run(ctx, argv...)
	if err != nil {
		t.Fatal(err)
	}
	if result.ExitCode != 0 {
		t.Fatalf("%s: %v: exit %d: %s%s", h.Name(), argv, result.ExitCode, result.Stdout, result.Stderr)
	}
	return result.Stdout
}
