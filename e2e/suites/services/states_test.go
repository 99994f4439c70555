package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
	"github.com/truepacs/balancer/e2e/talk"
)

// timeouts: two balancers ask for different ones.
func timeouts(s *scene) {
	out, err := s.w.MustRun(s.Context(), s.w.Director, "ipvsadm", "-L", "--timeout")
	suite.Must(s.T, err)
	if !strings.Contains(out, largest) {
		s.Errorf("ipvsadm says %q, want %s", out, largest)
	}
	ctx, cancel := s.bound()
	defer cancel()
	for name, field := range map[string]string{"radiology": "udpSeconds", "cardiology": "tcpSeconds"} {
		suite.Must(s.T, site.Until(ctx, name+" is told of the other's "+field, func() error {
			b, err := s.w.status(ctx, name)
			if err != nil {
				return err
			}
			for _, c := range b.Status.Conditions {
				if strings.Contains(c.Message, "layer4Timeouts."+field) {
					return nil
				}
			}
			return fmt.Errorf("status says %+v", b.Status.Conditions)
		}))
	}
	suite.Verdict(s.T, "balancers ask for 1800 30 60 and 900 45 90, ipvsadm says %s", strings.TrimSpace(out))
}

// states: pacs-b is drained, then maintained; each connection goes to another port of the range.
func states(s *scene) {
	old, flows := s.spreadRange("at first", "pacs-a", "pacs-b")
	s.w.edit(s.T, v1alpha1.StateDrain)
	s.await("pacs-b is drained", firstPort, map[string]int{"pacs-a": 100, "pacs-b": 0})
	s.await("pacs-b is drained", firstPort+udp, map[string]int{"pacs-a": 100, "pacs-b": 0})
	s.reason("range-tcp", "pacs-b", "Draining")
	s.spreadRange("drained", "pacs-a")
	s.alive("drained", old)
	s.flowsStay("drained", flows)
	s.w.edit(s.T, v1alpha1.StateMaintenance)
	s.await("pacs-b is in maintenance", firstPort, map[string]int{"pacs-a": 100})
	s.await("pacs-b is in maintenance", firstPort+udp, map[string]int{"pacs-a": 100})
	s.reason("range-tcp", "pacs-b", "Maintenance")
	reset := s.reset(on("pacs-b", old))
	s.alive("in maintenance", on("pacs-a", old))
	moved := s.flowsMove(flows)
	s.spreadRange("in maintenance", "pacs-a")
	s.w.edit(s.T, v1alpha1.StateActive)
	s.await("pacs-b is active", firstPort, map[string]int{"pacs-a": 100, "pacs-b": 100})
	s.await("pacs-b is active", firstPort+udp, map[string]int{"pacs-a": 100, "pacs-b": 100})
	s.spreadRange("active again", "pacs-a", "pacs-b")
	s.outside()
	suite.Verdict(s.T, "%d TCP connections and %d flows of UDP over ports %d to %d: drained, all go on and new ones go elsewhere; maintained, %d connections to the "+
		"server are reset and %d flows move; ports beside the range do not answer", len(old), len(flows), firstPort, lastPort, reset, moved)
}

// flow is a client's port of UDP with the server that answers it.
type flow struct {
	net.Conn
	server string
}

// spreadRange opens a connection and a flow to each port of the range, which these servers share.
func (s *scene) spreadRange(when string, want ...string) (all []*held, flows []flow) {
	s.Helper()
	seen := map[string]bool{}
	for port := firstPort; port <= lastPort; port++ {
		all = append(all, s.hold(port, 1)...)
		f := s.openFlow(port)
		flows = append(flows, f)
		seen["TCP "+all[len(all)-1].server], seen["UDP "+f.server] = true, true
	}
	for _, name := range want {
		if !seen["TCP "+name] || !seen["UDP "+name] {
			s.Errorf("%s: %s is not among %v", when, name, seen)
		}
	}
	if len(seen) != 2*len(want) {
		s.Errorf("%s: %v serve, want %v", when, seen, want)
	}
	return all, flows
}

func (s *scene) openFlow(port int) flow {
	s.Helper()
	c, err := s.dialFrom(s.random.IntN(clients), "udp", port)
	suite.Must(s.T, err)
	s.Cleanup(func() { _ = c.Close() })
	who, err := talk.Exchange(c, words(port), patience)
	suite.Must(s.T, err)
	return flow{c, who.Server}
}

// words are datagrams that no answer to earlier ones resembles.
func words(n int) []string { return []string{fmt.Sprint("first ", n), fmt.Sprint("second ", n)} }

func (s *scene) flowsStay(when string, flows []flow) {
	s.Helper()
	for i, f := range flows {
		if who, err := talk.Exchange(f, words(i), patience); err != nil || who.Server != f.server {
			s.Errorf("%s: the flow from %s to %s: %v, %v", when, f.LocalAddr(), f.server, who, err)
		}
	}
}

// flowsMove wants flows to the server that is gone to come to the other one, and returns how many.
func (s *scene) flowsMove(flows []flow) (moved int) {
	s.Helper()
	for i, f := range flows {
		who, err := talk.Exchange(f, words(-i-1), patience)
		if err != nil || who.Server != "pacs-a" {
			s.Errorf("in maintenance: the flow from %s to %s: %v, %v", f.LocalAddr(), f.server, who, err)
		}
		if f.server != "pacs-a" {
			moved++
		}
	}
	return moved
}

// reset wants connections to be reset, and returns how many.
func (s *scene) reset(all []*held) int {
	s.Helper()
	for _, h := range all {
		if _, err := h.Ask(); !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			s.Errorf("the connection from %s to %s in maintenance: %v", h.LocalAddr(), h.server, err)
		}
	}
	if len(all) == 0 {
		s.Error("no connection to the server that is maintained, the sample is empty")
	}
	return len(all)
}

// outside: the servers listen beside the range, too.
func (s *scene) outside() {
	s.Helper()
	for _, port := range []int{firstPort - 1, lastPort + 1} {
		out, err := s.w.MustRun(s.Context(), s.w.hosts["pacs-a"], "ss", "-Hltn", "sport", "=", fmt.Sprint(":", port))
		if err != nil || out == "" {
			s.Errorf("nothing listens at port %d, the sample is empty: %v", port, err)
		}
		ctx, cancel := context.WithTimeout(s.Context(), 2*time.Second)
		c, err := s.w.Viewer.Dial(ctx, "tcp4", fmt.Sprintf("%s:%d", vip, port))
		cancel()
		if err == nil {
			s.Errorf("port %d beside the range answers", port)
			_ = c.Close()
		}
	}
}
