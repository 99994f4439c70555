package services

import (
	"errors"
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"github.com/truepacs/balancer/e2e/suite"
)

// fallback: the standby server is behind NAT, the others are reached by direct routing.
func fallback(s *scene) {
	old := s.spread("at first", fallbackPort, 6, "pacs-a", "pacs-b")
	s.await("the standby has no weight", fallbackPort, map[string]int{"pacs-a": 100, "pacs-b": 100, "standby": 0})
	s.w.shut(s.T, fallbackPort, "pacs-a", "pacs-b")
	s.await("the standby serves", fallbackPort, map[string]int{"pacs-a": 0, "pacs-b": 0, "standby": 100})
	s.wayOf("standby", "-m")
	capture, err := s.w.hosts["standby"].Capture(s.Context(), "eth0", fmt.Sprintf("tcp port %d and not src host %s", fallbackPort, addresses["standby"]))
	suite.Must(s.T, err)
	s.Cleanup(func() { _, _ = capture.Stop() })
	meanwhile := s.spread("all others down", fallbackPort, 6, "standby")
	frames, err := capture.Frames()
	suite.Must(s.T, err)
	for _, f := range frames {
		if f.Destination != netip.MustParseAddr(addresses["standby"]) {
			s.Errorf("a packet that is not translated reaches the standby: %s", f)
		}
	}
	if len(frames) < len(meanwhile) {
		s.Errorf("%d frames at the standby, the sample is empty", len(frames))
	}
	s.alive("on servers that are down for checks only", old)
	s.w.open(s.T, fallbackPort, "pacs-a", "pacs-b")
	s.await("the others serve again", fallbackPort, map[string]int{"pacs-a": 100, "pacs-b": 100, "standby": 0})
	s.spread("the others are back", fallbackPort, 6, "pacs-a", "pacs-b")
	s.alive("after the others came back", meanwhile)
	s.established("after the others came back", "standby", fallbackPort, meanwhile)
	suite.Verdict(s.T, "2 servers down: 6 of 6 new connections to the fallback server, by NAT (%d frames to its own address); both back: 6 of 6 to them, "+
		"%d connections on the fallback server and %d old ones not cut", len(frames), len(meanwhile), len(old))
}

// wayOf checks how the kernel forwards to a server of the service with the fallback server.
func (s *scene) wayOf(server, want string) {
	s.Helper()
	all, err := s.w.table(s.Context())
	suite.Must(s.T, err)
	for _, e := range all[s.w.marks[fallbackPort]] {
		if e.server == server && e.way != want {
			s.Errorf("ipvsadm shows %s with %s, want %s", server, e.way, want)
		}
	}
}

// failover: weights 300, 200, 100.
func failover(s *scene) {
	s.spread("all up", failoverPort, 4, "pacs-a")
	s.w.shut(s.T, failoverPort, "pacs-a")
	s.await("the first is down", failoverPort, map[string]int{"pacs-a": 0, "pacs-b": 200, "pacs-c": 100})
	second := s.spread("the first is down", failoverPort, 4, "pacs-b")
	s.w.shut(s.T, failoverPort, "pacs-b")
	s.await("two are down", failoverPort, map[string]int{"pacs-a": 0, "pacs-b": 0, "pacs-c": 100})
	third := s.spread("two are down", failoverPort, 4, "pacs-c")
	s.w.open(s.T, failoverPort, "pacs-b")
	waited := s.holdDown("pacs-c", "pacs-b")
	s.w.open(s.T, failoverPort, "pacs-a")
	again := s.holdDown("pacs-b", "pacs-a")
	s.spread("all up again", failoverPort, 4, "pacs-a")
	s.alive("after the first is back", append(second, third...))
	s.established("after the first is back", "pacs-b", failoverPort, second)
	s.established("after the first is back", "pacs-c", failoverPort, third)
	suite.Verdict(s.T, "first, second, third in order; back after a hold-down of %d s (%s and %s after the check was let pass, none before); "+
		"%d connections on the second and %d on the third not cut", holdDownSeconds, waited, again, len(second), len(third))
}

// holdDown opens connections until one comes to the server that is back; it returns when that was. All
// before go to the one that stands in.
func (s *scene) holdDown(standsIn, back string) time.Duration {
	s.Helper()
	began, before := time.Now(), 0
	for {
		h := s.hold(failoverPort, 1)[0]
		after := time.Since(began)
		_ = h.Close()
		switch {
		case h.server == standsIn && after < patience:
			before++
			time.Sleep(200 * time.Millisecond)
			continue
		case h.server != back:
			s.Fatalf("%s after its check passes a connection comes to %s, want %s in the end", after, h.server, back)
		case after < holdDownSeconds*time.Second || before < 3:
			s.Errorf("%s is back after %s and %d connections to %s, the hold-down is %d s", back, after, before, standsIn, holdDownSeconds)
		}
		return after.Round(100 * time.Millisecond)
	}
}

// useAll: both servers fail their checks and serve.
func useAll(s *scene) {
	s.w.shut(s.T, useAllPort, "pacs-a")
	s.await("one is down", useAllPort, map[string]int{"pacs-a": 0, "pacs-b": 100})
	s.spread("one is down", useAllPort, 4, "pacs-b")
	s.w.shut(s.T, useAllPort, "pacs-b")
	s.await("all are used", useAllPort, map[string]int{"pacs-a": 100, "pacs-b": 100})
	s.reason("useall", "pacs-b", "Refused")
	all := s.spread("all are down", useAllPort, 8, "pacs-a", "pacs-b")
	s.w.open(s.T, useAllPort, "pacs-a", "pacs-b")
	s.healthy("useall", "pacs-a", "pacs-b")
	s.await("all are back", useAllPort, map[string]int{"pacs-a": 100, "pacs-b": 100})
	s.alive("after they are back", all)
	suite.Verdict(s.T, "one down: 4 of 4 new connections to the other; both down: 8 of 8 served by both, %v", servers(all))
}

// refuse: the same with the default.
func refuse(s *scene) {
	old := s.spread("all up", refusePort, 4, "pacs-a", "pacs-b")
	s.w.shut(s.T, refusePort, "pacs-a", "pacs-b")
	s.await("all are down", refusePort, map[string]int{"pacs-a": 0, "pacs-b": 0})
	const tries = 6
	for n := range tries {
		if h, err := s.try(n, refusePort); !errors.Is(err, syscall.ECONNREFUSED) {
			s.Errorf("a new connection while all are down: %v, %v", h, err)
		}
	}
	s.alive("while all are down", old)
	s.w.open(s.T, refusePort, "pacs-a", "pacs-b")
	s.await("all are back", refusePort, map[string]int{"pacs-a": 100, "pacs-b": 100})
	s.spread("all are back", refusePort, 4, "pacs-a", "pacs-b")
	suite.Verdict(s.T, "both down: %d of %d new connections refused, %d old ones not cut", tries, tries, len(old))
}
