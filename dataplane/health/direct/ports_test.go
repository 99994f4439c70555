package direct

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

func TestPortsRest(t *testing.T) {
	p := &ports{last: map[netip.AddrPort]time.Time{}}
	at, now := netip.MustParseAddrPort("192.0.2.11:40000"), time.Unix(1000, 0)
	for i, step := range []struct {
		after time.Duration
		want  error
	}{{0, nil}, {time.Hour, errPortResting}} {
		if err := p.take(at, now.Add(step.after)); !errors.Is(err, step.want) {
			t.Errorf("open, step %d: %v", i, err)
		}
	}
	p.release(at, now)
	if err := p.take(at, now.Add(flowTime)); !errors.Is(err, errPortResting) {
		t.Errorf("the kernel may still remember it: %v", err)
	}
	if err := p.take(at, now.Add(quiet)); err != nil {
		t.Errorf("rested: %v", err)
	}
}
