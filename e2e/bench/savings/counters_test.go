package savings

import (
	"testing"
	"time"
)

const devices = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100      10    0    0    0     0          0         0      100      10    0    0    0     0       0          0
  eth0:    2000      20    0    0    0     0          0         0     3000      30    0    0    0     0       0          0
  eth1: 40000 400    0    0    0     0          0         0    50000     500    0    0    0     0       0          0
`

func TestWiresAreAddedUp(t *testing.T) {
	got, err := readWire([]byte(devices), "eth0", "eth1")
	if want := (Wire{95_000, 950}); err != nil || got != want {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for name, text := range map[string]string{"missing": devices[:400], "short": "eth0: 1 2\neth1: 1 2\n", "no number": "eth0: x\n"} {
		if got, err := readWire([]byte(text), "eth0", "eth1"); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestBusyIsWhatIsNotIdle(t *testing.T) {
	got, err := readBusy([]byte("cpu  1 2 4 1000 2000 8 16 32 0 0\ncpu0 1 2 4 1000 2000 8 16 32 0 0\n"))
	if want := 63 * tick; err != nil || got != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
	for _, text := range []string{"", "intr 1", "cpu 1 2 3", "cpu  1 2 3 4 5 6 x 8 9"} {
		if got, err := readBusy([]byte(text)); err == nil {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestThreadsTime(t *testing.T) {
	if got, err := readThread([]byte("1500000000 7 9\n")); err != nil || got != 1500*time.Millisecond {
		t.Errorf("got %s, %v", got, err)
	}
	if got, err := readThread([]byte("1 2\n")); err == nil {
		t.Errorf("got %s", got)
	}
}
