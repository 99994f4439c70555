package l7

import (
	"slices"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// TestTicketSecrets: the newest makes tickets, three before it still open them, and no scope has another's keys.
func TestTicketSecrets(t *testing.T) {
	s := newTickets(time.Hour, func() {})
	defer s.stop()
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
		s.rotate(time.Now())
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

// TestTicketSecretsAreAdopted: those that are still good, in their order, and no others.
func TestTicketSecretsAreAdopted(t *testing.T) {
	now := time.Now()
	secret := func(n byte, age time.Duration) model.TicketSecret {
		key := make([]byte, model.TicketSecretSize)
		key[0] = n
		return model.TicketSecret{Key: key, Born: now.Add(-age)}
	}
	cut := secret(9, 0)
	cut.Key = cut.Key[:16]
	for name, tc := range map[string]struct {
		offer []model.TicketSecret
		want  []byte // first bytes of the keys; nil: not adopted
	}{
		"good":        {[]model.TicketSecret{secret(1, 30*time.Minute), secret(2, 90*time.Minute)}, []byte{1, 2}},
		"too many":    {[]model.TicketSecret{secret(1, 0), secret(2, 1), secret(3, 2), secret(4, 3), secret(5, 4)}, []byte{1, 2, 3, 4}},
		"one too old": {[]model.TicketSecret{secret(1, 0), secret(2, 5*time.Hour)}, []byte{1}},
		"none":        {nil, nil},
		"all too old": {[]model.TicketSecret{secret(2, 5*time.Hour)}, nil},
		"too short":   {[]model.TicketSecret{cut}, nil},
		"not yet":     {[]model.TicketSecret{secret(1, -time.Hour)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTickets(time.Hour, func() {})
			defer s.stop()
			before := s.list()
			if got := s.adopt(tc.offer); got != (tc.want != nil) {
				t.Fatalf("adopted: %v", got)
			}
			if tc.want == nil {
				if !slices.EqualFunc(s.list(), before, model.TicketSecret.Equal) {
					t.Error("its own are gone")
				}
				return
			}
			var got []byte
			for _, secret := range s.list() {
				got = append(got, secret.Key[0])
			}
			if !slices.Equal(got, tc.want) || s.adopt(tc.offer[:len(tc.want)]) {
				t.Errorf("adopted %v, want %v, and once", got, tc.want)
			}
		})
	}
	// One whose time is over is replaced at once, and goes on opening tickets.
	turned := make(chan struct{}, 8)
	s := newTickets(time.Hour, func() { turned <- struct{}{} })
	defer s.stop()
	s.adopt([]model.TicketSecret{secret(1, 2*time.Hour)})
	<-turned
	if list := s.list(); len(list) != 2 || list[1].Key[0] != 1 {
		t.Errorf("%d secrets", len(list))
	}
}
