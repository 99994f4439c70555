package l7

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"sync"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
)

// olderSecrets is how many secrets before the newest one still open tickets.
const olderSecrets = 3

// tickets are the secrets that keys of session tickets (RFC 5077, RFC 8446 4.6.1) are made of. One secret serves all
// listeners of an engine, on all loops; each service has keys of its own, derived from it. So a ticket is good at
// every address of its service and over new certificates, but at no other service, and no longer once other
// authorities are trusted to issue client certificates.
type tickets struct {
	every   time.Duration // how long a secret makes tickets
	rotated func()        // called, from a goroutine, when there is a new one

	mu      sync.Mutex
	secrets []model.TicketSecret // newest first
	timer   *time.Timer
	stopped bool
}

func newTickets(every time.Duration, rotated func()) *tickets {
	t := &tickets{every: every, rotated: rotated}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.rotate(time.Now())
	t.timer = time.AfterFunc(every, t.turn)
	return t
}

// turn makes a new secret and sets the timer for the next.
func (t *tickets) turn() {
	t.mu.Lock()
	t.rotate(time.Now())
	t.await()
	t.mu.Unlock()
	t.rotated()
}

func (t *tickets) await() {
	if !t.stopped {
		t.timer.Reset(max(0, t.every-time.Since(t.secrets[0].Born)))
	}
}

func (t *tickets) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
}

func (t *tickets) rotate(now time.Time) {
	secret := model.TicketSecret{Key: make([]byte, model.TicketSecretSize), Born: now}
	_, _ = rand.Read(secret.Key) // never fails
	t.secrets = slices.Insert(t.secrets, 0, secret)
	t.secrets = t.secrets[:min(len(t.secrets), 1+olderSecrets)]
}

// list returns the secrets, newest first.
func (t *tickets) list() []model.TicketSecret {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.secrets)
}

// adopt takes the secrets of an engine before this one; false: they are these already, or unusable. Those that are
// too old are left out, and the newest is replaced in its time.
func (t *tickets) adopt(list []model.TicketSecret) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	list = slices.DeleteFunc(slices.Clone(list), func(s model.TicketSecret) bool {
		return len(s.Key) != model.TicketSecretSize || s.Born.After(now) || now.Sub(s.Born) > t.every*(1+olderSecrets)
	})
	list = list[:min(len(list), 1+olderSecrets)]
	if len(list) == 0 || slices.EqualFunc(list, t.secrets, model.TicketSecret.Equal) {
		return false
	}
	t.secrets = list
	t.await()
	return true
}

// keys are those of a listener, the first makes new tickets.
func (t *tickets) keys(scope [32]byte) [][32]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([][32]byte, 0, len(t.secrets))
	for _, secret := range t.secrets {
		mac := hmac.New(sha256.New, secret.Key)
		mac.Write(scope[:])
		out = append(out, [32]byte(mac.Sum(nil)))
	}
	return out
}

// ticketScope says where a ticket is good: what crypto/tls does not check when it takes one up.
func ticketScope(l model.Listener) [32]byte {
	h := sha256.New()
	add := func(part []byte) {
		_ = binary.Write(h, binary.BigEndian, uint64(len(part))) // a hash takes everything
		h.Write(part)
	}
	add([]byte(l.Service))
	add([]byte(l.Application))
	if l.Service == "" {
		add([]byte(l.Name))
	}
	if c := l.TLS.Clients; c != nil {
		add(c.CA.Data)
	}
	return [32]byte(h.Sum(nil))
}
