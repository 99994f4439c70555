package http2

import (
	"cmp"
	"slices"
)

// ending is how a stream came to be closed, RFC 9113 section 5.1: it decides what frames that
// come afterwards mean.
type ending uint8

const (
	closedLongAgo ending = iota // or never used
	closedAtEnd
	closedByPeer
	closedByUs
)

// table knows the streams of a connection: all that are open, and the last ones that were.
type table struct {
	open []*Stream // by number
	last uint32    // the highest number that the peer used
	free []*Stream
	// byUs and others are the streams closed last. What the peer sends before it hears that we
	// reset a stream is no error, so these are remembered longer.
	byUs   memory
	others memory
}

const (
	keptFree    = 32
	keptByUs    = 128
	keptOthers  = 16
	packedShift = 2 // an id and its ending in one number
)

// memory is a ring of streams that were closed.
type memory struct {
	streams []uint64
	next    int
}

func (m *memory) add(id uint32, how ending, most int) {
	entry := uint64(id)<<packedShift | uint64(how)
	if len(m.streams) < most {
		m.streams = append(m.streams, entry)
		return
	}
	m.streams[m.next] = entry
	m.next = (m.next + 1) % most
}

func (m *memory) find(id uint32) ending {
	for _, entry := range m.streams {
		if uint32(entry>>packedShift) == id {
			return ending(entry & (1<<packedShift - 1))
		}
	}
	return closedLongAgo
}

// idle tells whether no stream of this number was there yet.
func (t *table) idle(id uint32) bool { return id%2 == 0 || id > t.last }

func (t *table) find(id uint32) *Stream {
	if i, ok := t.search(id); ok {
		return t.open[i]
	}
	return nil
}

func (t *table) search(id uint32) (int, bool) {
	return slices.BinarySearchFunc(t.open, id, func(s *Stream, id uint32) int { return cmp.Compare(s.id, id) })
}

// closed tells how a stream that is neither open nor idle ended.
func (t *table) closed(id uint32) ending {
	if how := t.byUs.find(id); how != closedLongAgo {
		return how
	}
	return t.others.find(id)
}

// unused returns memory for a stream.
func (t *table) unused() *Stream {
	n := len(t.free)
	if n == 0 {
		return &Stream{}
	}
	s := t.free[n-1]
	t.free = t.free[:n-1]
	return s
}

func (t *table) remove(s *Stream, how ending) {
	if i, ok := t.search(s.id); ok {
		t.open = slices.Delete(t.open, i, i+1)
	}
	if len(t.free) < keptFree {
		t.free = append(t.free, s)
	}
	t.remember(s.id, how)
}

func (t *table) remember(id uint32, how ending) {
	if how == closedByUs {
		t.byUs.add(id, how, keptByUs)
	} else {
		t.others.add(id, how, keptOthers)
	}
}
