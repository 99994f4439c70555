package announce

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"
)

// Prober finds out which hosts have an address, past the kernel: its neighbour table gets no
// entry, and what it holds for an address does not decide the answer. The host's own interfaces
// never count, so a director may ask for an address that it holds itself. The zero value of all
// fields but Network is usable.
type Prober struct {
	// Network is Sockets or, in tests, a Fake.
	Network Network
	// Count is how many questions are sent; 0: 3, as RFC 5227 says.
	Count int
	// Interval is how long an answer is waited for after each; 0: 500 ms. RFC 5227 section 1.1
	// waits one to two seconds, for hosts that join a network of unknown speed; a director is in
	// its network and hosts answer within milliseconds.
	Interval time.Duration
}

// ErrNoAnswer means that no host answered for an address.
var ErrNoAnswer = errors.New("no host on this segment answers for the address: it is switched off, on another segment or of another subnet")

// Probe asks on an interface who has an address without claiming it (RFC 5227 section 2.1.1, RFC
// 4862 section 5.4), and returns the MAC address of the other host that has it or asks for it at
// the same time; nil if none does after Count times Interval. It is for a host about to take the
// address. An IPv6 holder answers it to all hosts of the link, so it is not for watching an
// address; that is what Holders is for.
func (p Prober) Probe(ctx context.Context, name string, address netip.Addr) (net.HardwareAddr, error) {
	var found net.HardwareAddr
	err := p.ask(ctx, name, address, takeover, func(s sighting) bool {
		found = s.mac[:]
		return true
	})
	return found, err
}

// Holders asks on an interface who has an address and returns the MAC addresses of all other
// hosts that answer for it or speak with it within Count times Interval, ascending. Answers come
// to the asker alone and change no other host's idea of who has the address, so it may be called
// again and again, also by the host that holds the address. Hosts that only look for the address,
// other probers for example, do not count.
func (p Prober) Holders(ctx context.Context, name string, address netip.Addr) ([]net.HardwareAddr, error) {
	var found []MAC
	err := p.ask(ctx, name, address, watch, func(s sighting) bool {
		if s.holds && !slices.Contains(found, s.mac) {
			found = append(found, s.mac)
		}
		return false
	})
	slices.SortFunc(found, func(a, b MAC) int { return slices.Compare(a[:], b[:]) })
	macs := make([]net.HardwareAddr, 0, len(found))
	for _, mac := range found {
		macs = append(macs, mac[:])
	}
	return macs, err
}

// Resolve returns the MAC address of the first host that answers for an address on an interface,
// a server's for example. The error wraps ErrNoAnswer if none does after Count times Interval.
func (p Prober) Resolve(ctx context.Context, name string, address netip.Addr) (net.HardwareAddr, error) {
	var found net.HardwareAddr
	err := p.ask(ctx, name, address, watch, func(s sighting) bool {
		if s.holds {
			found = s.mac[:]
		}
		return s.holds
	})
	if err == nil && found == nil {
		err = fmt.Errorf("announce: ask for %s on %s: %w", address, name, ErrNoAnswer)
	}
	return found, err
}

// ask asks and shows what is heard of other hosts until enough says so.
func (p Prober) ask(ctx context.Context, name string, address netip.Addr, purpose purpose, enough func(sighting) bool) error {
	if !usable(address) {
		return fmt.Errorf("announce: ask for %s: %w", address, errNoAddress)
	}
	if err := p.exchange(ctx, name, address, purpose, enough); err != nil {
		return fmt.Errorf("announce: ask for %s on %s: %w%s", address, name, err, remedy(err))
	}
	return nil
}

func (p Prober) exchange(ctx context.Context, name string, address netip.Addr, purpose purpose, enough func(sighting) bool) error {
	at, err := p.Network.Interface(name)
	if err != nil {
		return err
	}
	own, err := p.Network.OwnMACs()
	if err != nil {
		return err
	}
	port, err := p.Network.Open(name, kindOf(address), &Listen{Groups: groupsOf(address)})
	if err != nil {
		return err
	}
	defer port.Close()
	to, question := questionFor(at, address, purpose)
	for range p.count() {
		if err := port.Send(to, question); err != nil {
			return err
		}
		done, err := await(ctx, port, p.interval(), func(b []byte, from MAC) bool {
			s, ok := sight(b, from, address)
			return ok && !slices.Contains(own, s.mac) && enough(s)
		})
		if done || err != nil {
			return err
		}
	}
	return nil
}

func (p Prober) count() int {
	if p.Count == 0 {
		return 3
	}
	return p.Count
}

func (p Prober) interval() time.Duration {
	if p.Interval == 0 {
		return 500 * time.Millisecond
	}
	return p.Interval
}

// await shows packets until one is enough or the time is over.
func await(ctx context.Context, port Port, wait time.Duration, enough func(b []byte, from MAC) bool) (bool, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	buffer := make([]byte, maxPayload)
	for {
		n, from, err := port.Receive(waiting, buffer)
		switch {
		case err == nil: // what came at the last moment counts
			if enough(buffer[:n], from) {
				return true, nil
			}
		case ctx.Err() != nil:
			return false, ctx.Err()
		case waiting.Err() != nil, errors.Is(err, context.DeadlineExceeded):
			return false, nil
		default:
			return false, err
		}
	}
}
