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

// Prober finds out whether another host has an address. The zero value of all fields but Network
// is usable.
type Prober struct {
	// Network is Sockets or, in tests, a Fake.
	Network Network
	// Count is how many probes are sent; 0: 3, as RFC 5227 says.
	Count int
	// Interval is how long an answer is waited for after each; 0: 500 ms. RFC 5227 section 1.1
	// waits one to two seconds, for hosts that join a network of unknown speed; a director is in
	// its network and hosts answer within milliseconds.
	Interval time.Duration
}

// Probe asks on an interface who has an address (RFC 5227 section 2.1.1) without claiming it,
// and returns the MAC address of the other host that has it or asks for it at the same time; nil
// if none does after Count times Interval. The host's own interfaces do not count.
func (p Prober) Probe(ctx context.Context, name string, address netip.Addr) (net.HardwareAddr, error) {
	if !address.Is4() {
		return nil, fmt.Errorf("announce: probe for %s: %w", address, errIPv4Only)
	}
	mac, err := p.probe(ctx, name, address)
	if err != nil {
		return nil, fmt.Errorf("announce: probe for %s on %s: %w%s", address, name, err, remedy(err))
	}
	return mac, nil
}

func (p Prober) probe(ctx context.Context, name string, address netip.Addr) (net.HardwareAddr, error) {
	at, err := p.Network.Interface(name)
	if err != nil {
		return nil, err
	}
	own, err := p.Network.OwnMACs()
	if err != nil {
		return nil, err
	}
	port, err := p.Network.Open(name, true)
	if err != nil {
		return nil, err
	}
	defer port.Close()
	count, interval := p.Count, p.Interval
	if count == 0 {
		count = 3
	}
	if interval == 0 {
		interval = 500 * time.Millisecond
	}
	question := probe(at.MAC, address).Append(nil)
	for range count {
		if err := port.Send(question); err != nil {
			return nil, err
		}
		other, err := await(ctx, port, interval, func(p Packet) bool {
			return p.claims(address) && !slices.Contains(own, p.SenderMAC)
		})
		if err != nil || other != nil {
			return other, err
		}
	}
	return nil, nil
}

// await returns the sender of the first packet that is a conflict, nil if none comes in time.
// Packets that cannot be read are passed over: what is on the wire is not ours to judge.
func await(ctx context.Context, port Port, wait time.Duration, conflict func(Packet) bool) (net.HardwareAddr, error) {
	waiting, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	buffer := make([]byte, maxPayload)
	for {
		n, err := port.Receive(waiting, buffer)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case waiting.Err() != nil, errors.Is(err, context.DeadlineExceeded):
			return nil, nil
		case err != nil:
			return nil, err
		}
		if p, err := Parse(buffer[:n]); err == nil && conflict(p) {
			return p.SenderMAC[:], nil
		}
	}
}
