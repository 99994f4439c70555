package genl

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// The seeds in testdata are answers of Linux 6.1 as they came over the socket.

// FuzzService: bytes are a service or an error, and a service that can be written comes back.
func FuzzService(f *testing.F) {
	s := marked(1)
	f.Add(appendService(nil, &s, true))
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeService(b)
		if err != nil {
			if !errors.Is(err, ErrAnswer) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		_ = s.String()
		if c := (Change{Command: NewService, Service: s}); c.check() != nil {
			return
		}
		again, err := decodeService(appendService(nil, &s, true))
		if err != nil || !again.Equal(s) {
			t.Errorf("%v comes back as %v, %v", s, again, err)
		}
	})
}

// FuzzDestination: the same for destinations.
func FuzzDestination(f *testing.F) {
	d := Destination{Address: mustPort("192.0.2.1:104"), Forward: DirectRoute, Weight: 1}
	f.Add(appendDestination(nil, &d, true))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := decodeDestination(b, unix.AF_INET)
		if err != nil {
			if !errors.Is(err, ErrAnswer) {
				t.Errorf("an error of another kind: %v", err)
			}
			return
		}
		_ = d.String()
		if d.check() != nil {
			return
		}
		again, err := decodeDestination(appendDestination(nil, &d, true), 0)
		if err != nil || !again.Equal(d) {
			t.Errorf("%v comes back as %v, %v", d, again, err)
		}
	})
}

// FuzzMessages: any datagram comes to an end, and its messages are within it.
func FuzzMessages(f *testing.F) {
	m := message{seq: 1}
	for _, b := range append(listing(m, unix.NLM_F_DUMP_INTR, 1, 2), worded(m, unix.EINVAL, "no"), status(m, 0)) {
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for rest := b; len(rest) > 0; {
			m, next, err := cutMessage(rest)
			if err != nil {
				if !errors.Is(err, ErrAnswer) {
					t.Errorf("an error of another kind: %v", err)
				}
				return
			}
			if len(next) >= len(rest) {
				t.Fatal("no progress")
			}
			rest = next
			_, _, _ = m.status()
			if len(m.text()) > 200 {
				t.Error("a long text")
			}
			if _, payload, err := m.data(); err == nil {
				_, _ = decodeDaemon(payload)
				_, _ = decodeTimeouts(payload)
				_, _ = decodeInfo(payload)
				_, _ = decodeFamily(payload)
			}
		}
	})
}
