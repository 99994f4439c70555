package explain

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/lab/pcap"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// plan is the clients that are tried unless the environment says otherwise.
func plan() suite.Plan { return suite.Plan{Name: "EXPLAIN", Unit: "CLIENTS", Seed: 1, Count: 200} }

func TestMain(m *testing.M) { plan().Run(m) }

// TestExplain asks about clients and lets them come.
func TestExplain(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	w := newWorld(t)
	w.put(t, "services.yaml", manifest(hashedState{}))
	w.start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, "virtual IPs on the servers", func() error { return w.prepared(ctx) }))
	w.serve(t)
	full := w.full()
	w.awaitWeights(t, "all servers", full)
	t.Run("clients", func(t *testing.T) { w.clientsAgree(t, p, full) })
	t.Run("refused", func(t *testing.T) { w.refusedAgree(t, p) })
	t.Run("connections and stats", w.connectionsAndStats)
	t.Run("conflict", w.conflict)
}

// prepared tells whether the servers have the virtual IPs.
func (w *world) prepared(ctx context.Context) error {
	for _, s := range w.servers {
		for _, vip := range []string{vip4, vip6} {
			out, err := s.Run(ctx, "ip", "-o", "address", "show", "to", vip)
			if err != nil || out.Stdout == "" {
				return fmt.Errorf("%s does not have %s: %w", s.Name(), vip, err)
			}
		}
	}
	return nil
}

// full is at how many services each server has weight while all is well.
func (w *world) full() map[string]int {
	n := len(services())
	counts := map[string]int{}
	for i := range w.servers {
		counts[fmt.Sprintf("192.0.2.%d", 11+i)], counts[fmt.Sprintf("[2001:db8:1::%d]", 11+i)] = n, n
	}
	return counts
}

// phases change the servers of pool hashed between the clients: weights of 0, a server that is gone,
// and one that is back at another place of the kernel's list.
func phases() []hashedState {
	return []hashedState{{}, {b: "Drain"}, {a: "Maintenance", b: "Drain"}, {a: "Active", c: "Drain"}, {}}
}

func hashedServices() int {
	n := 0
	for _, s := range services() {
		if s.pool == "hashed" {
			n++
		}
	}
	return n
}

// enter makes the servers what they are in a phase.
func (w *world) enter(t *testing.T, s hashedState, full map[string]int) {
	t.Helper()
	w.put(t, "services.yaml", manifest(s))
	want := map[string]int{}
	for i, state := range []string{s.a, s.b, s.c} {
		for _, address := range []string{fmt.Sprintf("192.0.2.%d", 11+i), fmt.Sprintf("[2001:db8:1::%d]", 11+i)} {
			want[address] = full[address]
			if state != "" && state != "Active" {
				want[address] -= hashedServices()
			}
		}
	}
	w.awaitWeights(t, fmt.Sprintf("servers as in %+v", s), want)
}

// clientsAgree: the server that explain names is the one at which the client's packets are captured.
func (w *world) clientsAgree(t *testing.T, p suite.Plan, full map[string]int) {
	w.awaitAnswers(t)
	captures := w.capture(t)
	d, a := newDraw(p.Seed), w.asker(t)
	var visits []visit
	var open []net.Conn
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for i, phase := range phases() {
		if i > 0 {
			w.enter(t, phase, full)
		}
		for n := share(int(p.Count), i, len(phases())); n > 0; { // of those that are foretold
			v, c := w.tryOne(t, a, d.next())
			visits = append(visits, v)
			if v.said.Outcome != "OneOf" {
				n--
			}
			if c != nil {
				open = append(open, c)
			}
			if at := d.IntN(max(1, len(open))); len(open) > 0 && d.IntN(3) == 0 { // others end, so that numbers differ
				_ = open[at].Close()
				open[at] = open[len(open)-1]
				open = open[:len(open)-1]
			}
			w.settle(t)
		}
	}
	w.judge(t, p, visits, w.received(t, captures))
}

// share is the i-th of n nearly equal parts.
func share(count, i, n int) int { return count*(i+1)/n - count*i/n }

// tryOne asks about a client and lets it come.
func (w *world) tryOne(t *testing.T, a *asker, v visit) (visit, net.Conn) {
	t.Helper()
	var err error
	v.said, err = a.ask(v.from, v.to, v.protocol)
	suite.Must(t, err)
	if v.said.Outcome == "Refused" {
		w.comeInVain(t, v, false)
		return v, nil
	}
	c, err := w.come(v)
	if err != nil {
		t.Fatalf("%s: %v", v, err)
	}
	if v.protocol == "UDP" { // its port is wanted again
		suite.Must(t, c.Close())
	}
	return v, c
}

// capture records what reaches each server.
func (w *world) capture(t *testing.T) []*lab.Capture {
	t.Helper()
	var all []*lab.Capture
	for _, s := range w.servers {
		c, err := s.Capture(t.Context(), "eth0", "dst host "+vip4+" or dst host "+vip6)
		suite.Must(t, err)
		all = append(all, c)
	}
	return all
}

// flow is who sends to what.
type flow struct {
	from, to netip.AddrPort
	protocol uint8
}

// received are the servers, by number, that got first packets of a flow, in their order.
func (w *world) received(t *testing.T, captures []*lab.Capture) map[flow][]int {
	t.Helper()
	got := map[flow][]int{}
	type arrival struct {
		at     time.Time
		server int
	}
	arrivals := map[flow][]arrival{}
	for i, c := range captures {
		frames, err := c.Frames()
		suite.Must(t, err)
		for _, f := range frames {
			first := f.Protocol == pcap.ProtocolUDP || f.Protocol == pcap.ProtocolTCP && f.TCPFlags&0x12 == 0x02
			if first {
				key := flow{netip.AddrPortFrom(f.Source, f.SourcePort), netip.AddrPortFrom(f.Destination, f.DestinationPort), f.Protocol}
				arrivals[key] = append(arrivals[key], arrival{f.Time, i})
			}
		}
	}
	for key, all := range arrivals {
		for _, a := range sortedBy(all, func(a, b arrival) int { return a.at.Compare(b.at) }) {
			got[key] = append(got[key], a.server)
		}
	}
	return got
}

func (v visit) flow() flow {
	protocol := uint8(pcap.ProtocolTCP)
	if v.protocol == "UDP" {
		protocol = pcap.ProtocolUDP
	}
	return flow{v.from, v.to, protocol}
}

// address is a server's in the family of v.
func (v visit) address(server int) netip.Addr {
	if v.from.Addr().Is4() {
		return netip.AddrFrom4([4]byte{192, 0, 2, byte(11 + server)})
	}
	return netip.MustParseAddr(fmt.Sprintf("2001:db8:1::%d", 11+server))
}

// judge holds what was said against what was captured.
func (w *world) judge(t *testing.T, p suite.Plan, visits []visit, got map[flow][]int) {
	t.Helper()
	var foretold, agree, refused, among, byOthers int
	used := map[int]int{}
	tried := map[string]int{}
	for _, v := range visits {
		at := got[v.flow()]
		if v.said.Outcome == "Refused" {
			foretold, agree, refused = foretold+1, agree+1, refused+1
			if len(at) > 0 {
				t.Errorf("server %d got %s", at[0], v)
			}
			continue
		}
		if len(at) == 0 {
			t.Errorf("no server was seen to get %s", v)
			continue
		}
		got[v.flow()] = at[1:]
		used[at[0]]++
		tried[v.service]++
		right := v.said.names(v.address(at[0]))
		switch {
		case !right:
			t.Errorf("server %s got %s", v.address(at[0]), v)
		case v.said.Outcome == "Server":
			agree++
		case services()[v.service].chance:
			among++
		default:
			t.Errorf("not foretold: %s", v)
		}
		if v.said.Outcome == "Server" {
			foretold++
			if v.said.DecidedBy != "Scheduler" {
				byOthers++
			}
		}
	}
	for i := range w.servers {
		if used[i] == 0 {
			t.Errorf("server %d got nobody, the sample is empty", i)
		}
	}
	for _, name := range names() {
		if tried[name] == 0 {
			t.Errorf("nobody came to service %s, the sample is empty", name)
		}
	}
	suite.Verdict(t, "%d clients of %d services (seed %d): %d of %d foretold agree with the captures, %d of them by connection or persistence, %d refused; %d of round robin got one of those named; servers got %v",
		len(visits), len(tried), p.Seed, agree, foretold, byOthers, refused, among, used)
}

// refusedAgree: clients that explain says get nothing get nothing.
func (w *world) refusedAgree(t *testing.T, p suite.Plan) {
	w.awaitAnswers(t)
	captures := w.capture(t)
	d, a := newDraw(p.Seed+1), w.asker(t)
	n := max(10, int(p.Count)/20)
	counts := map[string]int{}
	var visits []visit
	for i := range n {
		v := d.at("down", downPort, "TCP", false)
		want, silent := "Refused", false
		if i%2 == 1 {
			v = d.at("", strayPort, []string{"TCP", "UDP"}[i/2%2], false)
			want, silent = "Dropped", true
		}
		var err error
		v.said, err = a.ask(v.from, v.to, v.protocol)
		suite.Must(t, err)
		if v.said.Outcome != want || len(v.said.Why) == 0 {
			t.Errorf("%s, want %s", v, want)
		}
		w.comeInVain(t, v, silent)
		visits = append(visits, v)
		counts[want]++
	}
	got := w.received(t, captures)
	for _, v := range visits {
		if at := got[v.flow()]; len(at) > 0 {
			t.Errorf("server %d got %s", at[0], v)
		}
	}
	elsewhere, err := a.ask(netip.MustParseAddrPort("198.18.1.1:5000"), netip.MustParseAddrPort("192.0.2.101:7001"), "TCP")
	suite.Must(t, err)
	if elsewhere.Outcome != "Elsewhere" {
		t.Errorf("an address that nobody has: %+v", elsewhere)
	}
	itself, err := a.ask(netip.MustParseAddrPort("192.0.2.12:5000"), netip.MustParseAddrPort(vip4+":7001"), "TCP")
	suite.Must(t, err)
	if itself.DecidedBy != "Itself" || itself.Server.Name != "pacs-b" {
		t.Errorf("a real server as client: %+v", itself)
	}
	suite.Verdict(t, "%v of %d clients as foretold, none reached a server", counts, n)
}

// comeInVain: refused clients are told at once, others hear nothing.
func (w *world) comeInVain(t *testing.T, v visit, silent bool) {
	t.Helper()
	patience := 5 * time.Second
	if silent {
		patience = 700 * time.Millisecond
	}
	c, err := w.dial(v, patience)
	if v.protocol == "UDP" && err == nil {
		defer c.Close()
		suite.Must(t, c.SetDeadline(time.Now().Add(300*time.Millisecond)))
		if _, err = c.Write([]byte{1}); err == nil {
			_, err = c.Read(make([]byte, 1))
		}
	}
	var timeout net.Error
	isSilent := errors.As(err, &timeout) && timeout.Timeout()
	if err == nil || silent != isSilent || !silent && !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.EHOSTUNREACH) && !errors.Is(err, syscall.EACCES) {
		t.Errorf("%s: got %v", v, err)
	}
}
