package eventloop

// key names a source to the kernel: its slot, and which use of the slot it is. So news of a descriptor that is
// closed by now is told from news of the one that has its place.
type key uint64

func makeKey(slot int32, generation uint32) key { return key(uint32(slot)) | key(generation)<<32 }
func (k key) slot() int32                       { return int32(uint32(k)) }
func (k key) generation() uint32                { return uint32(k >> 32) }

type slot struct {
	handler    Handler
	generation uint32
	fd         int32
	queued     bool
}

// sources is the table of a loop's descriptors, and the queue of those that want another turn.
type sources struct {
	slots  []slot // 0 is never used
	vacant []int32
	again  []key
	head   int
}

func (s *sources) init() { s.slots = make([]slot, 1, 64) }

func (s *sources) take(h Handler, fd int32) int32 {
	if n := len(s.vacant); n > 0 {
		i := s.vacant[n-1]
		s.vacant = s.vacant[:n-1]
		s.slots[i].handler, s.slots[i].fd = h, fd
		return i
	}
	s.slots = append(s.slots, slot{handler: h, fd: fd})
	return int32(len(s.slots) - 1)
}

func (s *sources) free(i int32) {
	s.slots[i] = slot{generation: s.slots[i].generation + 1}
	s.vacant = append(s.vacant, i)
}

func (s *sources) key(i int32) key { return makeKey(i, s.slots[i].generation) }

func (s *sources) has(k key) bool {
	slot := &s.slots[k.slot()]
	return slot.generation == k.generation() && slot.handler != nil
}

func (s *sources) push(k key) { s.again = append(s.again, k) }

func (s *sources) queued() int { return len(s.again) - s.head }

// pop takes the key that has waited longest; there is one.
func (s *sources) pop() key {
	k := s.again[s.head]
	s.head++
	if s.head == len(s.again) || s.head >= 1024 {
		s.again = s.again[:copy(s.again, s.again[s.head:])]
		s.head = 0
	}
	return k
}

// each visits the sources there are now; those that are closed meanwhile are left out.
func (s *sources) each(visit func(key)) {
	for i := range int32(len(s.slots)) {
		if k := s.key(i); s.has(k) {
			visit(k)
		}
	}
}
