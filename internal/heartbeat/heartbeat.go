// Package heartbeat lets a process in a pod be probed without a port and without a shell: it
// writes a small file every second, `truepacs probe` in the same container reads it.
package heartbeat

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"
)

const (
	every = time.Second
	// stale is the age at which a heartbeat counts as missing: a loop that hangs is caught, a
	// node under load is not.
	stale = 20 * time.Second
)

// Beat is what a process says of itself.
type Beat struct {
	// Time is when it said so.
	Time time.Time `json:"time"`
	// Ready says that it can do its work, or stands by for the one that does.
	Ready bool `json:"ready"`
	// State is a word for people: active, standby, waiting.
	State string `json:"state"`
}

// Path returns the file of a role. /dev/shm is each pod's own and writable also where the root
// file system is not.
func Path(role string) string { return "/dev/shm/truepacs-" + role + ".json" }

// Run writes what state returns until ctx ends. A file that cannot be written only makes the
// probe fail.
func Run(ctx context.Context, path string, state func() (ready bool, word string)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		ready, word := state()
		write(path, Beat{Time: time.Now(), Ready: ready, State: word})
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func write(path string, b Beat) {
	body, err := json.Marshal(b)
	if err != nil {
		return
	}
	// Renamed into place: a reader never sees a part.
	if os.WriteFile(path+".new", body, 0o600) == nil {
		_ = os.Rename(path+".new", path)
	}
}

// Check returns an error if the process does not live, or with ready, is not ready.
func Check(path string, ready bool, now time.Time) error {
	body, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("no heartbeat yet: %w", err)
	}
	var b Beat
	if err := json.Unmarshal(body, &b); err != nil {
		return fmt.Errorf("heartbeat %s: %w", path, err)
	}
	if age := now.Sub(b.Time); age > stale {
		return fmt.Errorf("last heartbeat was %s ago: the process hangs", age.Round(time.Second))
	}
	if ready && !b.Ready {
		return fmt.Errorf("not ready: %s", b.State)
	}
	return nil
}
