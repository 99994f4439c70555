package heartbeat

import (
	"path/filepath"
	"testing"
	"time"
)

func TestCheck(t *testing.T) {
	now := time.Now()
	for name, tc := range map[string]struct {
		beat         *Beat
		alive, ready bool
	}{
		"no file": {nil, false, false},
		"ready":   {&Beat{Time: now, Ready: true}, true, true},
		"standby": {&Beat{Time: now, State: "waiting"}, true, false},
		"hanging": {&Beat{Time: now.Add(-time.Minute), Ready: true}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "beat")
			if tc.beat != nil {
				write(path, *tc.beat)
			}
			if err := Check(path, false, now); (err == nil) != tc.alive {
				t.Errorf("alive: %v", err)
			}
			if err := Check(path, true, now); (err == nil) != tc.ready {
				t.Errorf("ready: %v", err)
			}
		})
	}
}
