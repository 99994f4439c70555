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
	every time.Duration // how long a secret makes tickets

	mu      sync.Mutex
	secrets [][32]byte // newest first
	timer   *time.Timer
	stopped bool
}

func newTickets(every time.Duration) *tickets {
	t := &tickets{every: every}
	t.rotate()
	return t
}

// begin rotates from now on; each time rotated is called, from a goroutine.
func (t *tickets) begin(rotated func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.timer = time.AfterFunc(t.every, func() {
		t.rotate()
		rotated()
		t.mu.Lock()
		defer t.mu.Unlock()
		if !t.stopped {
			t.timer.Reset(t.every)
		}
	})
}

func (t *tickets) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	t.timer.Stop()
}

func (t *tickets) rotate() {
	var secret [32]byte
	_, _ = rand.Read(secret[:]) // never fails
	t.mu.Lock()
	defer t.mu.Unlock()
	t.secrets = slices.Insert(t.secrets, 0, secret)
	t.secrets = t.secrets[:min(len(t.secrets), 1+olderSecrets)]
}

// keys are those of a listener, the first makes new tickets.
func (t *tickets) keys(scope [32]byte) [][32]byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	out := make([][32]byte, 0, len(t.secrets))
	for _, secret := range t.secrets {
		mac := hmac.New(sha256.New, secret[:])
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
