package wiring

import "sync"

// rotation remembers answers about things of which there may be too many to ask for all of them
// at a time. The zero value is ready; it may be used from several goroutines.
type rotation[K comparable, V any] struct {
	mu    sync.Mutex
	known map[K]V
	turn  int
}

// due returns which of all are asked about now, at most so many: all by turns, as long as their
// order stays.
func (r *rotation[K, V]) due(all []K, most int) []K {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(all) <= most {
		return all
	}
	due := make([]K, 0, most)
	for i := range most {
		due = append(due, all[(r.turn+i)%len(all)])
	}
	r.turn = (r.turn + most) % len(all)
	return due
}

// note keeps an answer.
func (r *rotation[K, V]) note(k K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known == nil {
		r.known = map[K]V{}
	}
	r.known[k] = v
}

// answers returns what is known about all and forgets the rest.
func (r *rotation[K, V]) answers(all []K) map[K]V {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := make(map[K]V, len(all))
	for _, k := range all {
		if v, known := r.known[k]; known {
			kept[k] = v
		}
	}
	r.known = kept
	out := make(map[K]V, len(kept))
	for k, v := range kept {
		out[k] = v
	}
	return out
}
