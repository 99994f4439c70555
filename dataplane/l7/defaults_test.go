package l7

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTimeoutsHaveTheirDefaults(t *testing.T) {
	want := Timeouts{
		Header: 10 * time.Second, KeepAlive: time.Minute, Connect: 5 * time.Second, Transfer: 15 * time.Minute,
		HalfClosed: 30 * time.Second, ServerIdle: 4 * time.Second, DrainIdle: 2 * time.Second, Linger: time.Second,
	}
	if diff := cmp.Diff(want, Timeouts{}.withDefaults()); diff != "" {
		t.Error(diff)
	}
	if got := (Timeouts{Header: time.Hour}).withDefaults(); got.Header != time.Hour {
		t.Errorf("a limit of an hour became %v", got.Header)
	}
}
