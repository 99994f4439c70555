package cmd

import (
	"strings"
	"testing"
)

// TestUninstallDoesNotClaimWhatItLeft: settings that stay for others are named, with what to do.
func TestUninstallDoesNotClaimWhatItLeft(t *testing.T) {
	if got := given("", "/state"); !strings.Contains(got, "Everything is given back") || !strings.Contains(got, "/state") {
		t.Errorf("%q", got)
	}
	got := given("2 settings of IPVS stay.", "/state")
	if strings.Contains(got, "Everything is") || !strings.Contains(got, "2 settings of IPVS stay.") || !strings.Contains(got, "leave /state") {
		t.Errorf("%q", got)
	}
}
