package l7

import (
	"bytes"
	"io"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"

	"github.com/truepacs/balancer/dataplane/eventloop"
)

const (
	// pageSize is how many bytes of the access log a loop collects before they are written.
	pageSize = 32 << 10
	// pagesWaiting is how many pages may wait to be written, for each engine.
	pagesWaiting = 32
	// pageDelay is how long a line waits for others.
	pageDelay = 50 * time.Millisecond
	// lastWords is how long the end of an engine waits for a slow log.
	lastWords = time.Second
)

// journal writes the access log at the edge: loops fill pages, a goroutine writes them. No loop ever waits for it.
type journal struct {
	full    chan []byte // to be written
	empty   chan []byte // written, for the next lines
	dropped atomic.Int64
	ended   chan struct{}
}

// newJournal starts the goroutine; with w nil there is none and nothing is written.
func newJournal(w io.Writer, log logr.Logger) *journal {
	j := &journal{}
	if w == nil || w == io.Discard {
		return j
	}
	j.full, j.empty, j.ended = make(chan []byte, pagesWaiting), make(chan []byte, pagesWaiting), make(chan struct{})
	go j.write(w, log)
	return j
}

func (j *journal) write(w io.Writer, engineer logr.Logger) {
	defer close(j.ended)
	told, failing := int64(0), false
	var lines []byte
	for page := range j.full {
		lines = j.gather(lines[:0], page)
		n, err := w.Write(lines)
		if err != nil {
			j.dropped.Add(int64(bytes.Count(lines[max(0, min(n, len(lines))):], []byte{'\n'})))
		}
		if err != nil && !failing { // once: a full disk is not helped by a line for each page
			engineer.Error(err, "the access log cannot be written: look at the disk or the program that reads it")
		}
		failing = err != nil
		if lost := j.lost(); lost > told && !failing {
			engineer.Info("lines of the access log were dropped: it could not be written, or not fast enough", "lines", lost-told)
			told = lost
		}
	}
}

// gather appends a page and those that wait behind it: while the loops are busy this goroutine gets a processor seldom.
func (j *journal) gather(lines, page []byte) []byte {
	for more := true; more; {
		lines = append(lines, page...)
		select {
		case j.empty <- page[:0]:
		default:
		}
		if len(lines) >= pagesWaiting*pageSize {
			break
		}
		select {
		case page, more = <-j.full:
		default:
			more = false
		}
	}
	return lines
}

func (j *journal) lost() int64 { return j.dropped.Load() }

// close writes the last lines. The loops have ended.
func (j *journal) close(workers []*worker) {
	if j.full == nil {
		return
	}
	late := time.NewTimer(lastWords)
	defer late.Stop()
	for _, w := range workers {
		if len(w.page.bytes) == 0 {
			continue
		}
		select {
		case j.full <- w.page.bytes:
		case <-late.C:
			late.Reset(0)
			j.dropped.Add(w.page.lines)
		}
	}
	close(j.full)
	select {
	case <-j.ended:
	case <-late.C:
	}
}

// page is the lines that a loop has not handed over yet.
type page struct {
	journal *journal
	loop    *eventloop.Loop
	bytes   []byte
	lines   int64
	timer   eventloop.Timer
}

// wanted says whether there is an access log.
func (p *page) wanted() bool { return p.journal.full != nil }

// begin returns where the next line is appended to; end takes the result.
func (p *page) begin() []byte {
	if cap(p.bytes) == 0 {
		select {
		case p.bytes = <-p.journal.empty:
		default:
			p.bytes = make([]byte, 0, pageSize+pageSize/8)
		}
	}
	return p.bytes
}

func (p *page) end(b []byte) {
	p.bytes = b
	p.lines++
	switch {
	case len(b) >= pageSize:
		p.turn()
	case !p.timer.Active():
		p.loop.SetTimer(&p.timer, pageDelay)
	}
}

// Expired is for the loop: the lines have waited long enough.
func (p *page) Expired(*eventloop.Timer) {
	if len(p.bytes) > 0 {
		p.turn()
	}
}

// turn hands the page over, or gives its lines up if too many wait.
func (p *page) turn() {
	select {
	case p.journal.full <- p.bytes:
		p.bytes = nil
	default:
		p.journal.dropped.Add(p.lines)
		p.bytes = p.bytes[:0]
	}
	p.lines = 0
}
