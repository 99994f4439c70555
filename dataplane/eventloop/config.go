package eventloop

import (
	"fmt"
	"runtime"

	"github.com/go-logr/logr"
)

const (
	// MaxLoops is the largest group: one loop accepts for all, and more loops than cores gain nothing.
	MaxLoops = 100

	defaultTurnBytes = 1 << 20
	defaultPipeSize  = 1 << 20
)

// Config is what a Group is made with. The zero value is usable.
type Config struct {
	// Loops is how many loops there are; 0: GOMAXPROCS.
	Loops int
	// TurnBytes is how many bytes one connection may move in one turn of its loop before the others have
	// theirs; 0: 1 MiB, one full pipe.
	TurnBytes int
	// PipeSize is how many bytes a borrowed pipe should hold; 0: 1 MiB, fs.pipe-max-size of an unprivileged
	// process. Large pipes halve the processor time of bulk data against the kernel's 64 KiB.
	PipeSize int
	// Log is told about mistakes in handlers and about trouble with listening sockets.
	Log logr.Logger
}

// completed fills in the defaults, or says what is wrong.
func (c Config) completed() (Config, error) {
	if c.Loops == 0 {
		c.Loops = min(runtime.GOMAXPROCS(0), MaxLoops)
	}
	if c.Loops < 0 || c.Loops > MaxLoops {
		return c, fmt.Errorf("eventloop: %d loops: write a number from 1 to %d, or 0 for one per core", c.Loops, MaxLoops)
	}
	if c.TurnBytes <= 0 {
		c.TurnBytes = defaultTurnBytes
	}
	if c.PipeSize <= 0 {
		c.PipeSize = defaultPipeSize
	}
	if c.Log.GetSink() == nil {
		c.Log = logr.Discard()
	}
	return c, nil
}
