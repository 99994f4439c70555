package http2

// queue is a list of streams whose turn comes one after the other. Priorities are ignored, RFC
// 9113 section 5.3.
type queue struct{ first, last *Stream }

func (q *queue) push(s *Stream) {
	if s.queued {
		return
	}
	s.queued, s.prev, s.next = true, q.last, nil
	if q.last == nil {
		q.first = s
	} else {
		q.last.next = s
	}
	q.last = s
}

func (q *queue) remove(s *Stream) {
	if !s.queued {
		return
	}
	if s.prev == nil {
		q.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		q.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.queued, s.prev, s.next = false, nil, nil
}

// room tells whether content may be sent on some stream.
func (c *Conn) room() bool { return c.sendWindow > 0 && !c.Full() }

// await queues a stream that has content to send and a window for it.
func (c *Conn) await(s *Stream) {
	if s.waiting && s.sendWindow > 0 {
		c.ready.push(s)
	}
}

// serve gives waiting streams their turns while there is room.
func (c *Conn) serve() {
	for c.ready.first != nil && c.room() && c.err == nil {
		s := c.ready.first
		c.ready.remove(s)
		s.waiting = false
		c.turn = s
		c.handler.Writable(s)
		c.turn = nil
	}
}
