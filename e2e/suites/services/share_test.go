package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// group: each client comes to one service, which one the seed says, then to the other. Before them one
// comes to one service only: two services that took turns by themselves would not be in step.
func group(s *scene) {
	const asked = 20
	count, first := map[string]int{}, map[int]int{}
	order := s.random.Perm(clients)
	_, err := s.try(order[asked], groupPort)
	suite.Must(s.T, err)
	for _, n := range order[:asked] {
		ports := []int{groupPort, otherGroupPort}
		s.random.Shuffle(2, func(i, j int) { ports[i], ports[j] = ports[j], ports[i] })
		first[ports[0]]++
		var came []string
		for _, port := range append(ports, ports...) {
			h, err := s.try(n, port)
			suite.Must(s.T, err)
			came = append(came, h.server)
		}
		if slices.ContainsFunc(came, func(server string) bool { return server != came[0] }) {
			s.Errorf("the client %s came to %v on the ports %v, twice", clientAddress(n), came, ports)
		}
		count[came[0]]++
	}
	if len(count) != 2 || len(first) != 2 {
		s.Errorf("clients are on %v, first on the ports %v: the sample is empty", count, first)
	}
	out, err := s.w.MustRun(s.Context(), s.w.Director, "ipvsadm", "-Lnc")
	suite.Must(s.T, err)
	if n := strings.Count(out, " NONE ") + strings.Count(out, " ASSURED "); n < asked {
		s.Errorf("IPVS remembers %d clients, want %d:\n%s", n, asked, out)
	}
	suite.Verdict(s.T, "%d clients, each on one server over two services and four connections: %v", asked, count)
}

// thresholds: pacs-a has a limit, pacs-b none.
func thresholds(s *scene) {
	s.leave(nil, 0) // those of an earlier round count until IPVS forgets them
	var limited []*held
	for tries := 0; len(limited) < most; tries++ {
		if tries > 4*most {
			s.Fatalf("%d of %d connections came to pacs-a", len(limited), tries)
		}
		limited = append(limited, on("pacs-a", s.hold(thresholdPort, 1))...)
	}
	s.spread("the limit is reached", thresholdPort, 6, "pacs-b")
	s.established("the limit is reached", "pacs-a", thresholdPort, limited)
	s.checkThresholds()
	s.leave(limited[:most-fewest], fewest)
	s.spread("at the lower limit", thresholdPort, 4, "pacs-b")
	s.leave(limited[most-fewest:most-fewest+1], fewest-1)
	s.spread("below the lower limit", thresholdPort, 2, "pacs-a", "pacs-b")
	s.alive("in the end", limited[most-fewest+1:])
	suite.Verdict(s.T, "at %d connections 6 of 6 new ones elsewhere, at %d 4 of 4, at %d the server gets some again", most, fewest, fewest-1)
}

// checkThresholds has ipvsadm as the witness of the limits.
func (s *scene) checkThresholds() {
	s.Helper()
	out, err := s.w.MustRun(s.Context(), s.w.Director, "ipvsadm", "-Ln", "--thresholds", "-f", s.w.marks[thresholdPort])
	suite.Must(s.T, err)
	for line := range strings.Lines(out) {
		f := strings.Fields(line) // -> 192.0.2.11:0 4 2 4 0
		if len(f) > 3 && f[1] == addresses["pacs-a"]+":0" && f[2] == fmt.Sprint(most) && f[3] == fmt.Sprint(fewest) {
			return
		}
	}
	s.Errorf("ipvsadm shows no limits %d and %d:\n%s", most, fewest, out)
}

// leave ends connections by a reset, of which the director hears, and waits until the kernel counts
// so many.
func (s *scene) leave(some []*held, left int) {
	s.Helper()
	for _, h := range some {
		suite.Must(s.T, h.Conn.(*net.TCPConn).SetLinger(0))
		suite.Must(s.T, h.Close())
	}
	ctx, cancel := s.bound()
	defer cancel()
	suite.Must(s.T, site.Until(ctx, "connections are forgotten", func() error {
		n, err := s.w.counted(ctx, thresholdPort, "pacs-a")
		if err == nil && n != left {
			err = fmt.Errorf("ipvsadm counts %d, want %d", n, left)
		}
		return err
	}))
}

// slowStart has one server go and come back.
func slowStart(s *scene) {
	back, stays := "pacs-a", "pacs-b"
	if s.random.IntN(2) == 0 {
		back, stays = stays, back
	}
	s.w.shut(s.T, slowStartPort, back)
	s.await("one is down", slowStartPort, map[string]int{back: 0, stays: 100})
	s.w.open(s.T, slowStartPort, back)
	ctx, cancel := context.WithTimeout(s.Context(), patience+slowStartSeconds*time.Second)
	defer cancel()
	steps := []int{0}
	var began time.Time
	suite.Must(s.T, site.Until(ctx, "the full weight", func() error {
		got, err := s.weights(ctx, slowStartPort)
		if err != nil {
			return err
		}
		if got[stays] != 100 {
			s.Errorf("the other server has weight %d", got[stays])
		}
		if last := steps[len(steps)-1]; got[back] != last {
			if last == 0 {
				began = time.Now()
			}
			steps = append(steps, got[back])
		}
		if got[back] < 100 {
			return errors.New("weights so far: " + fmt.Sprint(steps))
		}
		return nil
	}))
	took := time.Since(began)
	// The last sight of weight 0 and the first of a step are one look apart: half is far from none.
	if !slices.IsSorted(steps) || len(steps) < 6 || steps[1] > 50 || took < slowStartSeconds*time.Second/2 {
		s.Errorf("weights %v within %s, want steps over %d s", steps, took, slowStartSeconds)
	}
	suite.Verdict(s.T, "%s by ipvsadm: %v over %s", back, steps, took.Round(100*time.Millisecond))
}
