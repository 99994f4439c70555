package services

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
	"github.com/truepacs/balancer/e2e/talk"
)

// clients is how many addresses connections come from; one host has them all.
const clients = 24

func clientAddress(n int) string { return fmt.Sprintf("192.0.2.%d", 151+n) }

// patience is for hosts that share an emulated processor.
const patience = time.Minute

// scene is one story of a round.
type scene struct {
	*testing.T
	w      *world
	random *rand.Rand
}

// bound is a context for something that comes soon or not at all.
func (s *scene) bound() (context.Context, context.CancelFunc) {
	return context.WithTimeout(s.Context(), patience)
}

// held is a connection that stays open.
type held struct {
	*talk.Stream
	server string
}

// dialFrom opens a connection from one of the clients' addresses.
func (s *scene) dialFrom(n int, network string, port int) (net.Conn, error) {
	ctx, cancel := s.bound()
	defer cancel()
	dialer := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(clientAddress(n)), 0))}
	if network == "udp" {
		dialer.LocalAddr = net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(clientAddress(n)), 0))
	}
	dialer.SetMultipathTCP(false)
	var conn net.Conn
	err := s.w.Viewer.Enter(func() (err error) {
		conn, err = dialer.DialContext(ctx, network, fmt.Sprintf("%s:%d", vip, port))
		return err
	})
	return conn, err
}

// try opens a connection from a client and asks who answers.
func (s *scene) try(n, port int) (*held, error) {
	conn, err := s.dialFrom(n, "tcp", port)
	if err != nil {
		return nil, err
	}
	stream, err := talk.NewStream(conn, 10*time.Minute)
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	who, err := stream.Ask()
	if err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	if seen, own := who.Client.String(), conn.LocalAddr().String(); seen != own {
		s.Errorf("%s sees the client %s, which is %s", who.Server, seen, own)
	}
	s.Cleanup(func() { _ = conn.Close() })
	return &held{stream, who.Server}, nil
}

// hold opens connections that stay, from any client.
func (s *scene) hold(port, n int) (all []*held) {
	s.Helper()
	for range n {
		h, err := s.try(s.random.IntN(clients), port)
		suite.Must(s.T, err)
		all = append(all, h)
	}
	return all
}

// servers counts connections by server.
func servers(all []*held) map[string]int {
	count := map[string]int{}
	for _, h := range all {
		count[h.server]++
	}
	return count
}

// on are the connections to a server.
func on(server string, all []*held) (some []*held) {
	for _, h := range all {
		if h.server == server {
			some = append(some, h)
		}
	}
	return some
}

// spread opens connections, wants them on these servers, each of which gets some, and returns them.
func (s *scene) spread(when string, port, n int, want ...string) []*held {
	s.Helper()
	all := s.hold(port, n)
	got := servers(all)
	for _, name := range want {
		if got[name] == 0 {
			s.Errorf("%s: %s gets none of %d new connections: %v", when, name, n, got)
		}
	}
	if len(got) != len(want) {
		s.Errorf("%s: %d new connections go to %v, want %v only", when, n, got, want)
	}
	return all
}

// alive wants connections to answer, from the server that they had.
func (s *scene) alive(when string, all []*held) {
	s.Helper()
	if len(all) == 0 {
		s.Errorf("%s: no connection is open, the sample is empty", when)
	}
	for _, h := range all {
		if who, err := h.Ask(); err != nil || who.Server != h.server {
			s.Errorf("%s: the connection from %s to %s: %v, %v", when, h.LocalAddr(), h.server, who, err)
		}
	}
}

// established wants ss on a server to see connections.
func (s *scene) established(when, server string, port int, all []*held) {
	s.Helper()
	seen, err := s.w.Established(s.Context(), s.w.hosts[server], port)
	suite.Must(s.T, err)
	for _, h := range all {
		if !seen[h.LocalAddr().String()] {
			s.Errorf("%s: ss on %s does not see the connection from %s", when, server, h.LocalAddr())
		}
	}
	if len(all) == 0 {
		s.Errorf("%s: no connection to look for on %s, the sample is empty", when, server)
	}
}

// weights are those of a service, by server; a server that the kernel does not have is absent.
func (s *scene) weights(ctx context.Context, port int) (map[string]int, error) {
	all, err := s.w.table(ctx)
	if err != nil {
		return nil, err
	}
	weights := map[string]int{}
	for _, e := range all[s.w.marks[port]] {
		weights[e.server] = e.weight
	}
	return weights, nil
}

// await waits until ipvsadm shows weights of a service.
func (s *scene) await(what string, port int, want map[string]int) {
	s.Helper()
	ctx, cancel := s.bound()
	defer cancel()
	suite.Must(s.T, site.Until(ctx, what, func() error {
		got, err := s.weights(ctx, port)
		if err == nil && !maps.Equal(got, want) {
			err = fmt.Errorf("ipvsadm shows (-want +got):\n%s", cmp.Diff(want, got))
		}
		return err
	}))
}

// reason waits until status gives a reason or a state of a server.
func (s *scene) reason(service, server, want string) {
	s.Helper()
	s.awaitStatus(service, server, want, func(state v1alpha1.ServerState) bool {
		return strings.Contains(state.Reason, want) || state.State == want
	})
}

// healthy waits until status says so of servers.
func (s *scene) healthy(service string, names ...string) {
	s.Helper()
	for _, name := range names {
		s.awaitStatus(service, name, "healthy", func(state v1alpha1.ServerState) bool { return state.Health == v1alpha1.HealthHealthy })
	}
}

func (s *scene) awaitStatus(service, server, what string, holds func(v1alpha1.ServerState) bool) {
	s.Helper()
	ctx, cancel := s.bound()
	defer cancel()
	suite.Must(s.T, site.Until(ctx, what+" of "+server+" in "+service, func() error {
		b, err := s.w.status(ctx, "radiology")
		if err != nil {
			return err
		}
		for _, v := range b.Status.VirtualServices {
			for _, state := range v.ServerStates {
				if v.Name == service && state.Name == server {
					if holds(state) {
						return nil
					}
					return fmt.Errorf("status says %s, %s, %s: %s", state.Health, state.State, state.Reason, state.Message)
				}
			}
		}
		return errors.New("status does not name it")
	}))
}
