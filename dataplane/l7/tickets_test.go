package l7

import (
	"slices"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// TestTicketSecrets: the newest makes tickets, three before it still open them, and no scope has another's keys.
func TestTicketSecrets(t *testing.T) {
	s := newTickets(time.Hour)
	scope := func(l model.Listener) [32]byte {
		l.TLS = &model.TLS{Clients: &model.ClientCertificates{}}
		return ticketScope(l)
	}
	viewer, archive := scope(model.Listener{Service: "a/b/viewer", Name: "1"}), scope(model.Listener{Service: "a/b/archive", Name: "1"})
	first := s.keys(viewer)
	if len(first) != 1 || slices.Contains(s.keys(archive), first[0]) {
		t.Fatalf("%d keys", len(first))
	}
	for i := range 5 {
		before := s.keys(viewer)
		s.rotate()
		now := s.keys(viewer)
		if want := min(i+2, 4); len(now) != want || now[0] == before[0] || !slices.Equal(now[1:], before[:want-1]) {
			t.Fatalf("after rotation %d: %d keys", i+1, len(now))
		}
		if slices.Contains(now, first[0]) != (i < 3) {
			t.Fatalf("after rotation %d the first key is there: %v", i+1, i >= 3)
		}
	}
	if scope(model.Listener{Service: "a", Name: "1"}) != scope(model.Listener{Service: "a", Name: "2"}) {
		t.Error("addresses of a service share no tickets")
	}
	if scope(model.Listener{Name: "1"}) == scope(model.Listener{Name: "2"}) {
		t.Error("listeners without a service share tickets")
	}
}
