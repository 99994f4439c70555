package checks

import (
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/nonblock"
	"github.com/truepacs/balancer/e2e/suite"
)

// TestFloorOfAThousandChecks makes the system calls that the checks need and nothing else: no timeout, no wait for an
// event, no look at the answer. What that costs on a machine no program undercuts there that opens a connection for
// each check.
func TestFloorOfAThousandChecks(t *testing.T) {
	servers, err := suite.Number("THOUSAND_SERVERS", 1000)
	suite.Must(t, err)
	w := newWorld(t, int(servers))
	await(t, "a C-ECHO was seen whole", func() (string, bool) { return "", len(w.wire.echo()) >= 3 })
	f := &floor{said: w.wire.echo()[:3]}
	for n, server := range w.servers {
		pool := n / perPool
		c := &call{to: netip.AddrPortFrom(server, uint16(port(pool))), fd: -1}
		if pool%2 == 0 {
			c.left = len(f.said)
		}
		f.calls = append(f.calls, c)
	}
	w.stop()
	var took, cpu time.Duration
	w.director.Do(func() {
		f.second() // the neighbour is looked for
		before, began := thread(), time.Now()
		for range 10 {
			f.second()
		}
		took, cpu = time.Since(began), thread()-before
	})
	if most := 10 * int(servers) / 100; f.failed > most {
		t.Errorf("%d of %d checks failed: that is no measure", f.failed, 11*servers)
	}
	suite.Verdict(t, "the bare system calls of %d checks every second: %.1f %% of a core", servers, 100*cpu.Seconds()/took.Seconds())
}

// floor makes checks blindly: each step of one comes a tick after the one before.
type floor struct {
	said   [][]byte
	calls  []*call
	failed int
	buffer [4096]byte
}

type call struct {
	to   netip.AddrPort
	left int // how many things of said are asked: 0, or all
	step int
	fd   int
}

// second has each server checked once, spread over the ticks of a second.
func (f *floor) second() {
	const tick, ticks = 10 * time.Millisecond, 100
	began := time.Now()
	for n := range ticks {
		for i, c := range f.calls {
			switch age := (n - i%ticks + ticks) % ticks; {
			case age == 0:
				f.open(c)
			case c.fd >= 0:
				f.advance(c)
			}
		}
		rest := unix.NsecToTimespec(time.Until(began.Add(time.Duration(n+1) * tick)).Nanoseconds())
		_ = unix.Nanosleep(&rest, nil)
	}
}

func (f *floor) open(c *call) {
	if c.fd >= 0 {
		f.failed++
		_ = nonblock.Close(c.fd)
	}
	c.fd, _ = nonblock.Stream(unix.AF_INET)
	_ = nonblock.Connect(c.fd, c.to)
	c.step = 0
}

func (f *floor) advance(c *call) {
	if c.step > 0 {
		if n, err := nonblock.Read(c.fd, f.buffer[:]); err == unix.EAGAIN || n <= 0 {
			return
		}
	}
	if c.step < c.left {
		if _, err := nonblock.Write(c.fd, f.said[c.step]); err != nil {
			return
		}
		c.step++
		return
	}
	if c.left == 0 {
		_ = nonblock.SetReset(c.fd)
	}
	_ = nonblock.Close(c.fd)
	c.fd = -1
}

// thread is how long the calling thread has had a processor.
func thread() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_THREAD, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
