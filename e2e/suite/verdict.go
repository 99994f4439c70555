package suite

import "testing"

// Verdict prints what a test has shown, with its figures: held, or FAILED if the test has failed.
// hack/soak keeps these lines of every suite.
func Verdict(t *testing.T, format string, args ...any) {
	t.Helper()
	held := "held"
	if t.Failed() {
		held = "FAILED"
	}
	t.Logf("verdict: "+held+": "+format, args...)
}
