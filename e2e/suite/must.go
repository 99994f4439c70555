package suite

import "testing"

// Must ends the test at an error that leaves nothing to go on with.
func Must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
