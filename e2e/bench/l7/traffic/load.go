package traffic

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// Load fills an order. It writes reports as lines of JSON, and goes on after each but the last when it reads a line. What goes
// wrong is in the last report.
func Load(order Order, in io.Reader, out io.Writer) error {
	l := &load{order: &order, lines: bufio.NewScanner(in), reports: json.NewEncoder(out)}
	last, err := l.run()
	if err != nil {
		last = Report{Error: err.Error()}
	}
	return l.reports.Encode(last)
}

type load struct {
	order   *Order
	opener  *opener
	lines   *bufio.Scanner
	reports *json.Encoder
}

// lane is a connection, or one after the other, on which a number of exchanges are made in turn.
type lane interface {
	// run makes exchanges as long as next says so and tells of each.
	run(next func() bool, note func(bytes int64, took time.Duration)) error
	Close() error
}

// pause reports and waits to be told to go on.
func (l *load) pause(r Report) error {
	if err := l.reports.Encode(r); err != nil {
		return err
	}
	if !l.lines.Scan() {
		return fmt.Errorf("nobody said to go on: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

func (l *load) run() (last Report, err error) {
	if l.opener, err = newOpener(l.order); err != nil {
		return last, err
	}
	switch l.order.Form {
	case Held:
		return l.hold()
	case Stalled:
		return l.stall()
	}
	lanes := make([]lane, l.order.Connections)
	for i := range lanes {
		if lanes[i], err = l.opener.lane(i); err != nil {
			return last, err
		}
		defer lanes[i].Close()
	}
	if err := l.warm(lanes); err != nil {
		return last, err
	}
	if err := l.pause(last); err != nil {
		return last, err
	}
	if last, err = measure(lanes, l.order.Exchanges); err != nil {
		return last, err
	}
	return last, l.pause(last)
}

// warm uses each lane: then it has its cookie, and the front what it needs for it.
func (l *load) warm(lanes []lane) error {
	var group errgroup.Group
	for _, lane := range lanes {
		group.Go(func() error {
			left := max(1, l.order.Streams)
			return lane.run(func() bool { left--; return left >= 0 }, func(int64, time.Duration) {})
		})
	}
	return group.Wait()
}

// lane opens one; those with an interval begin one after the other in the course of it.
func (o *opener) lane(number int) (lane, error) {
	switch {
	case o.order.Protocol == HTTP2:
		c, err := o.dial()
		if err != nil {
			return nil, err
		}
		return newStreams(c, o.order)
	case o.order.Form == Fresh:
		return fresh{o}, nil
	}
	s, err := o.open()
	if err != nil {
		return nil, err
	}
	return &kept{session: s, phase: o.order.Interval * time.Duration(number) / time.Duration(o.order.Connections)}, nil
}

// measure makes a number of exchanges on all lanes together.
func measure(lanes []lane, exchanges int) (Report, error) {
	var tickets atomic.Int64
	var group errgroup.Group
	counts := make([]count, len(lanes))
	began := time.Now()
	for i, lane := range lanes {
		group.Go(func() error {
			return lane.run(func() bool { return tickets.Add(1) <= int64(exchanges) }, counts[i].note)
		})
	}
	err := group.Wait()
	return report(counts, time.Since(began)), err
}

// count is what came of a lane.
type count struct {
	bytes int64
	times []time.Duration
}

func (c *count) note(n int64, took time.Duration) {
	c.bytes += n
	c.times = append(c.times, took)
}

func report(counts []count, took time.Duration) Report {
	r := Report{Took: took}
	var times []time.Duration
	for _, c := range counts {
		r.Bytes += c.bytes
		times = append(times, c.times...)
	}
	if r.Exchanges = len(times); r.Exchanges > 0 {
		slices.Sort(times)
		r.P50, r.P99 = times[len(times)/2], times[len(times)*99/100]
	}
	return r
}

// kept is a connection that stays.
type kept struct {
	*session
	phase time.Duration
}

func (k *kept) run(next func() bool, note func(int64, time.Duration)) error {
	for due := time.Now().Add(k.phase); next(); due = due.Add(k.order.Interval) {
		if k.order.Interval > 0 {
			time.Sleep(time.Until(due))
		}
		began := time.Now()
		n, err := k.exchange()
		if err != nil {
			return err
		}
		note(n, time.Since(began))
	}
	return nil
}

// fresh makes a connection for each exchange.
type fresh struct{ *opener }

func (f fresh) Close() error { return nil }

func (f fresh) run(next func() bool, note func(int64, time.Duration)) error {
	for next() {
		began := time.Now()
		n, err := f.once()
		if err != nil {
			return err
		}
		note(n, time.Since(began))
	}
	return nil
}

func (f fresh) once() (int64, error) {
	if f.order.Protocol == TLS {
		return 0, f.handshake()
	}
	s, err := f.open()
	if err != nil {
		return 0, err
	}
	n, err := s.exchange()
	if err != nil {
		s.Close()
		return n, err
	}
	return n, s.finish()
}

// handshake makes one and waits until the front has closed: then it has seen its end, too.
func (f fresh) handshake() error {
	s, err := f.open()
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, s.r)
	return err
}

// opening is how many connections are opened at once.
const opening = 16

// hold opens connections in steps. Each step uses all of them once, so that none is idle for longer than the last one.
func (l *load) hold() (last Report, err error) {
	var held []*session
	defer func() {
		for _, s := range held {
			s.Close()
		}
	}()
	for _, step := range l.order.Steps {
		more, err := l.openMore(step - len(held))
		held = append(held, more...)
		if err != nil {
			return last, err
		}
		if err := each(held, func(s *session) error { _, err := s.exchange(); return err }); err != nil {
			return last, err
		}
		if err := l.pause(Report{Exchanges: len(held)}); err != nil {
			return last, err
		}
	}
	last.Exchanges = len(held)
	return last, each(held, func(s *session) error { _, err := s.exchange(); return err })
}

func (l *load) openMore(n int) (opened []*session, err error) {
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(opening)
	for range n {
		group.Go(func() error {
			s, err := l.opener.open()
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			opened = append(opened, s)
			return nil
		})
	}
	return opened, group.Wait()
}

func each(held []*session, do func(*session) error) error {
	var group errgroup.Group
	group.SetLimit(opening)
	for _, s := range held {
		group.Go(func() error { return do(s) })
	}
	return group.Wait()
}

// stall asks for content, reads its first byte, and the rest when it is told to.
func (l *load) stall() (last Report, err error) {
	s, err := l.opener.open()
	if err != nil {
		return last, err
	}
	defer s.Close()
	small := *s.order
	s.order, small.Size = &small, 0
	s.request = s.order.request("")
	if _, err := s.exchange(); err != nil { // so that the connection has been in use before
		return last, err
	}
	if err := l.pause(last); err != nil {
		return last, err
	}
	s.order = l.order
	s.request = s.order.request("")
	if _, err := s.Write(s.request); err != nil {
		return last, err
	}
	if _, err := s.r.Peek(1); err != nil {
		return last, err
	}
	if err := l.pause(last); err != nil {
		return last, err
	}
	began := time.Now()
	_ = s.SetDeadline(began.Add(patience))
	length := l.order.Size
	if l.order.Protocol != TCP {
		if length, _, err = s.readHead(); err != nil {
			return last, err
		}
	}
	err = s.readContent(length, 0)
	return Report{Exchanges: 1, Bytes: length, Took: time.Since(began)}, err
}
