package genl

import (
	"context"
	"fmt"
)

func nothing(b []byte) []byte { return b }

// Services returns all services of the namespace, whoever made them, in the kernel's order. It
// needs one dump however many there are. See the package's comment on lists that others change.
func (c *Client) Services(ctx context.Context) ([]Service, error) {
	var all []Service
	seen := map[ServiceID]struct{}{}
	reset := func() { all = all[:0]; clear(seen) }
	err := c.dump(ctx, getService, NewService, "", nothing, reset, func(payload []byte) error {
		s, err := decodeService(payload)
		if err != nil {
			return err
		}
		if _, twice := seen[s.ServiceID]; twice {
			return fmt.Errorf("%s came twice: %w", s.ServiceID, ErrInterrupted)
		}
		seen[s.ServiceID] = struct{}{}
		all = append(all, s)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// Service returns one service; ErrNoService if there is none.
func (c *Client) Service(ctx context.Context, id ServiceID) (Service, error) {
	if err := id.check(); err != nil {
		return Service{}, refused(getService, id.String(), err)
	}
	named := Service{ServiceID: id}
	var s Service
	err := c.ask(ctx, getService, NewService, id.String(),
		func(b []byte) []byte { return appendService(b, &named, false) },
		func(payload []byte) (err error) { s, err = decodeService(payload); return err })
	return s, err
}

// Destinations returns the destinations of a service; ErrNoService if there is no such service.
func (c *Client) Destinations(ctx context.Context, id ServiceID) ([]Destination, error) {
	if err := id.check(); err != nil {
		return nil, refused(getDest, id.String(), err)
	}
	named := Service{ServiceID: id}
	var all []Destination
	err := c.dump(ctx, getDest, NewDest, id.String(),
		func(b []byte) []byte { return appendService(b, &named, false) },
		func() { all = all[:0] },
		func(payload []byte) error {
			d, err := decodeDestination(payload, family(id.Is6()))
			if err == nil && contains(all, d) {
				err = fmt.Errorf("%s came twice: %w", d.Address, ErrInterrupted)
			}
			all = append(all, d)
			return err
		})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 { // so says the kernel of a service that is not there, too
		_, err = c.Service(ctx, id)
	}
	return all, err
}

// contains looks at the neighbours of the place where a list may have slipped: a change makes the
// kernel repeat or miss one. Looking at all would make long lists slow.
func contains(all []Destination, d Destination) bool {
	for i := max(0, len(all)-8); i < len(all); i++ {
		if all[i].Address == d.Address {
			return true
		}
	}
	return false
}

// Timeouts returns the idle timeouts of connections.
func (c *Client) Timeouts(ctx context.Context) (Timeouts, error) {
	var t Timeouts
	err := c.ask(ctx, getConfig, setConfig, "", nothing,
		func(payload []byte) (err error) { t, err = decodeTimeouts(payload); return err })
	return t, err
}

// Info returns the version of IPVS and the size of its connection table.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var i Info
	err := c.ask(ctx, getInfo, setInfo, "", nothing,
		func(payload []byte) (err error) { i, err = decodeInfo(payload); return err })
	return i, err
}

// Daemons returns the synchronisation daemons that are running: none, one of a role, or both.
func (c *Client) Daemons(ctx context.Context) ([]Daemon, error) {
	var all []Daemon
	err := c.dump(ctx, getDaemon, newDaemon, "", nothing,
		func() { all = all[:0] },
		func(payload []byte) error {
			d, err := decodeDaemon(payload)
			all = append(all, d)
			return err
		})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// refused wraps what the package itself refuses to send.
func refused(command Command, subject string, err error) error {
	return fmt.Errorf("ipvs: %s %s: %w", command, subject, err)
}
