package services

import (
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// external: a file on the director decides what the program says of a server.
func external(s *scene) {
	out, stays := s.twoServers()
	file := "/tmp/verdict-" + addresses[out]
	decide := func(status string) {
		suite.Must(s.T, s.w.Director.Put(s.Context(), file, strings.NewReader(status), 0o644))
	}
	old := s.spread("at first", externalPort, 4, out, stays)
	decide("1")
	s.await("the program says no", externalPort, map[string]int{out: 0, stays: 100})
	s.reason("external", out, "ProgramFailed")
	s.spread("the program says no", externalPort, 4, stays)
	s.alive("after the program said no", old)
	decide("0")
	s.await("the program says yes", externalPort, map[string]int{out: 100, stays: 100})
	s.spread("the program says yes", externalPort, 4, out, stays)
	suite.Verdict(s.T, "status 1 takes %s out (4 of 4 new connections elsewhere, %d old ones not cut), status 0 brings it back", out, len(old))
}

// twoServers chooses which server goes.
func (s *scene) twoServers() (goes, stays string) {
	if s.random.IntN(2) == 0 {
		return "pacs-b", "pacs-a"
	}
	return "pacs-a", "pacs-b"
}

// agent: what the agent says, and the weight that it makes.
func agent(s *scene) {
	told, stays := s.twoServers()
	old := s.spread("at first", agentPort, 4, told, stays)
	said := []struct {
		text   string
		weight int
	}{{"50%", 50}, {"drain", 0}, {"ready", 50}, {"maint", 0}, {"up ready 100%", 100}, {"down", 0}, {"up", 100}}
	for _, w := range said {
		s.w.answer(told, w.text)
		s.await("the agent says "+w.text, agentPort, map[string]int{told: w.weight, stays: 100})
		if w.weight == 0 {
			s.spread("the agent says "+w.text, agentPort, 3, stays)
		}
		s.alive("the agent says "+w.text, old)
	}
	s.spread("the agent says up", agentPort, 4, told, stays)
	suite.Verdict(s.T, "%d words of the agent on %s, each with its weight in ipvsadm: %v; %d connections not cut", len(said), told, said, len(old))
}

// via takes the virtual IP from a server whose own address goes on answering.
func via(s *scene) {
	bare := s.w.hosts["bare"]
	old := on("pacs-a", s.spread("at first", viaPort, 6, "pacs-a", "bare"))
	s.await("both serve", viaPort, map[string]int{"pacs-a": 100, "bare": 100})
	probes := s.captureProbes(bare)
	looks := s.traceless()
	s.w.on(s.T, "bare", "ip address del "+vip+"/32 dev lo")
	s.await("the server without the virtual IP is down", viaPort, map[string]int{"pacs-a": 100, "bare": 0})
	s.reason("via", "bare", "NoVIP")
	s.ownAddressAnswers()
	looks += s.traceless()
	s.spread("without the virtual IP", viaPort, 4, "pacs-a")
	s.alive("without the virtual IP", old)
	s.w.on(s.T, "bare", "ip address add "+vip+"/32 dev lo")
	s.await("the server has the virtual IP again", viaPort, map[string]int{"pacs-a": 100, "bare": 100})
	s.spread("with the virtual IP again", viaPort, 4, "pacs-a", "bare")
	frames, err := probes.Frames()
	suite.Must(s.T, err)
	for _, f := range frames {
		if f.DestinationMAC.String() != bare.MAC("eth0") {
			s.Errorf("a probe went to another server: %s", f)
		}
	}
	if len(frames) < 6 {
		s.Errorf("%d probes at the server, the sample is empty", len(frames))
	}
	suite.Verdict(s.T, "a server that answers at its own address and lacks the virtual IP is down, 4 of 4 new connections elsewhere, and back with it; "+
		"%d probes in the capture, in %d looks none in ipvsadm -Lnc and no entry of the virtual IP in conntrack -L", len(frames), looks)
}

// captureProbes records what the director asks a server at the virtual IP.
func (s *scene) captureProbes(host *lab.Namespace) *lab.Capture {
	s.Helper()
	c, err := host.Capture(s.Context(), "eth0", fmt.Sprintf(
		"src host %s and dst host %s and tcp dst port %d and tcp[tcpflags] & tcp-syn != 0", site.DirectorAddress, vip, viaPort))
	suite.Must(s.T, err)
	s.Cleanup(func() { _, _ = c.Stop() })
	return c
}

// traceless looks for entries of checks through the virtual IP while several of them take place, and
// returns how often it looked: IPVS has none, and connection tracking has each as one plain connection
// of the director to an address that stands for the server. Clients' connections and checks have to
// be there, or the lists would show nothing.
func (s *scene) traceless() (looks int) {
	s.Helper()
	for range 5 {
		listed, err := s.w.MustRun(s.Context(), s.w.Director, "ipvsadm", "-Lnc")
		suite.Must(s.T, err)
		tracked, err := s.w.MustRun(s.Context(), s.w.Director, "conntrack", "-L")
		suite.Must(s.T, err)
		for line := range strings.Lines(listed) {
			if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[3], site.DirectorAddress+":") {
				s.Errorf("ipvsadm lists the director as a client: %s", line)
			}
		}
		plain := 0
		for line := range strings.Lines(tracked) {
			switch {
			case !strings.Contains(line, fmt.Sprintf("port=%d ", viaPort)):
			case strings.Contains(line, vip):
				s.Errorf("conntrack lists a connection to the virtual IP: %s", line)
			case strings.Contains(line, "src="+site.DirectorAddress+" dst=24"):
				plain++
			}
		}
		if plain == 0 || !strings.Contains(listed, fmt.Sprintf("%s:%d", vip, viaPort)) {
			s.Errorf("no client in ipvsadm -Lnc, or %d checks in conntrack -L: the sample is empty\n%.2000s\n%.2000s", plain, listed, tracked)
		}
		looks++
		time.Sleep(500 * time.Millisecond)
	}
	return looks
}

// ownAddressAnswers: only the virtual IP is gone.
func (s *scene) ownAddressAnswers() {
	s.Helper()
	ctx, cancel := s.bound()
	defer cancel()
	c, err := s.w.Viewer.Dial(ctx, "tcp4", net.JoinHostPort(addresses["bare"], fmt.Sprint(viaPort)))
	if err != nil {
		s.Errorf("the server's own address: %v", err)
		return
	}
	_ = c.Close()
}
