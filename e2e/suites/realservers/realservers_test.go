package realservers

import (
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/suite"
)

// plan has the ways to prepare a server as its parts: 4 are all of them.
func plan() suite.Plan {
	return suite.Plan{Name: "REALSERVERS", Unit: "WAYS", Seed: 1, Count: 2}
}

func TestMain(m *testing.M) { plan().Run(m) }

// TestRealServers prepares one server by the printed script, in each way, and by the agent. Each time:
// it works by direct routing, nothing but declared ports answers, a power failure changes nothing, and
// in the end the server is as it was.
func TestRealServers(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	w := newWorld(t)
	w.ports = chosen(t, p)
	before := w.state(t)
	w.wantEyes(t)
	ways := []func(*testing.T, string){w.byLoopback, w.byAgent, w.byRedirect, w.byTunnel}
	p.Round(t, func(n uint64) {
		w.wantNoService(t)
		ways[(n-1)%uint64(len(ways))](t, before)
		w.wantNoService(t)
	})
}

// byLoopback is the usual way; on it realserver-check is tried.
func (w *world) byLoopback(t *testing.T, before string) {
	t.Helper()
	w.byScript(t, "loopback")
	w.afterPowerFailure(t, "loopback")
	w.wantRepair(t)
	w.wantFaultsSeen(t)
	w.takeBack(t, "loopback", before)
}

// byRedirect is the way for servers to which no address may be added.
func (w *world) byRedirect(t *testing.T, before string) {
	t.Helper()
	w.byScript(t, "redirect")
	w.afterPowerFailure(t, "redirect")
	w.wantRedirectSeen(t)
	w.takeBack(t, "redirect", before)
}

// byTunnel is the way to servers that need not be on the segment.
func (w *world) byTunnel(t *testing.T, before string) {
	t.Helper()
	w.forward(t, "Tunnel")
	w.byScript(t, "tunnel")
	w.afterPowerFailure(t, "tunnel")
	w.wantClamped(t)
	w.takeBack(t, "tunnel", before)
	w.forward(t, "Route")
}

// afterPowerFailure: nobody starts anything, and all is as before.
func (w *world) afterPowerFailure(t *testing.T, method string) {
	t.Helper()
	machine := w.server.(*lab.Machine)
	suite.Must(t, machine.PowerOff())
	suite.Must(t, machine.PowerOn(t.Context()))
	w.awaitService(t, method+", after a power failure")
	w.wantDirect(t)
	w.wantSilence(t)
	w.scanServer(t, method+", after a power failure")
	if !w.scanned {
		w.scanned = true
		w.scanDirector(t)
	}
}

// takeBack runs the printed script of removal.
func (w *world) takeBack(t *testing.T, method, before string) {
	t.Helper()
	mustRun(t, w.server, "truepacs-realserver --check")
	w.copyScript(t, "--remove", "/root/remove.sh")
	mustRun(t, w.server, "sh /root/remove.sh")
	w.wantState(t, before, method)
}

// byScript has the director print the script, and runs it on the server, twice.
func (w *world) byScript(t *testing.T, method string) {
	t.Helper()
	w.copyScript(t, "--server pacs-a --method "+method, "/root/realserver.sh")
	mustRun(t, w.server, "sh /root/realserver.sh --apply && sync")
	once := w.state(t)
	mustRun(t, w.server, "sh /root/realserver.sh --apply")
	if diff := cmp.Diff(once, w.state(t)); diff != "" {
		t.Errorf("%s: the second --apply changed (-once +twice):\n%s", method, diff)
	}
	if out := mustRun(t, w.server, "sh /root/realserver.sh --check"); !strings.Contains(out, "ok ") || strings.Contains(out, "BAD") {
		t.Errorf("%s: --check says:\n%s", method, out)
	}
	w.awaitService(t, method)
}

func (w *world) copyScript(t *testing.T, arguments, path string) {
	t.Helper()
	script := mustRun(t, w.director, program+" realserver-setup --os linux "+arguments)
	suite.Must(t, w.server.Put(t.Context(), path, strings.NewReader(script), 0o644))
}

// state is everything on the server that preparing it may change. Handles of rules show whether
// they were loaded again.
func (w *world) state(t *testing.T) string {
	t.Helper()
	return mustRun(t, w.server, `ip -o address show | sed 's/ *valid_lft.*//; s/ tentative//'
grep -H . /proc/sys/net/ipv4/conf/*/arp_* /proc/sys/net/ipv4/conf/*/rp_filter
nft -s -a list ruleset; ip -o link show | sed 's/ state .*//'
systemctl is-enabled truepacs-realserver.service truepacs-realserver.timer truepacs.service 2>&1 | cat
find /etc/systemd/system /usr/local/sbin /var/lib/truepacs* -name '*truepacs*' ! -name lock 2>/dev/null | sort
cat /usr/local/sbin/truepacs-realserver /etc/systemd/system/truepacs-realserver.* 2>/dev/null || true`)
}

// wantState compares with the state at first but for the handles, which count on.
func (w *world) wantState(t *testing.T, before, when string) {
	t.Helper()
	if diff := cmp.Diff(before, w.state(t)); diff != "" {
		t.Errorf("%s: taken back, the server has (-before +now):\n%s", when, diff)
	}
}

func (w *world) wantNoService(t *testing.T) {
	t.Helper()
	for _, vip := range []string{vip4, vip6} {
		if got, err := w.ask(t.Context(), "tcp", vip, portDICOM, time.Second); err == nil {
			t.Fatalf("an unprepared server answers %q at %s: the test proves nothing", got, vip)
		}
	}
}

// wantDirect: replies come from the server's own MAC address to the client, and pass the director by.
func (w *world) wantDirect(t *testing.T) {
	t.Helper()
	const filter = "(tcp or udp) and (src host " + vip4 + " or src host " + vip6 + ")"
	// The director's own survey knocks at the server and is answered; that is no reply to a client.
	atDirector, err := w.director.Capture(t.Context(), "eth0", filter+" and not (dst host "+director4+" or dst host "+director6+")")
	suite.Must(t, err)
	atClient, err := w.client.Capture(t.Context(), "eth0", filter)
	suite.Must(t, err)
	suite.Must(t, w.wantService(t.Context()))
	passed, err := atDirector.Frames()
	suite.Must(t, err)
	came, err := atClient.Frames()
	suite.Must(t, err)
	if len(passed) != 0 || len(came) == 0 {
		t.Errorf("%d replies passed the director, %d came to the client", len(passed), len(came))
	}
	for _, f := range came {
		if f.SourceMAC.String() != w.server.MAC("eth0") {
			t.Errorf("a reply that the server did not send itself: %s", f)
		}
	}
}

// wantSilence asks who has the addresses: the director says so, the server says nothing.
func (w *world) wantSilence(t *testing.T) {
	t.Helper()
	const filter = "arp or (icmp6 and ip6[40] == 136)"
	capture, err := w.server.Capture(t.Context(), "eth0", filter)
	suite.Must(t, err)
	for _, command := range []string{
		"arping -c 2 -I eth0 " + vip4, "arping -D -c 1 -I eth0 " + vip4 + " || true",
		"ip neigh flush dev eth0; ping -c 1 -W 5 " + vip4 + "; ping -c 1 -W 5 " + vip6,
	} {
		out := mustRun(t, w.client, command)
		if strings.Contains(strings.ToLower(out), w.server.MAC("eth0")) {
			t.Errorf("the server answers for the virtual address:\n%s", out)
		}
	}
	// What the server itself asks must not name a virtual address either.
	mustRun(t, w.server, "ip neigh flush dev eth0; ping -c 1 -W 5 "+client4)
	suite.Must(t, w.wantService(t.Context()))
	frames, err := capture.Frames()
	suite.Must(t, err)
	if len(frames) == 0 {
		t.Error("the capture is empty: it proves nothing")
	}
	for _, f := range frames {
		if f.SourceMAC.String() != w.server.MAC("eth0") {
			continue
		}
		target := ""
		if f.ARPOperation == 0 && len(f.Data) >= 14+40+24 {
			target = net.IP(f.Data[14+40+8 : 14+40+24]).String()
		}
		if f.Source.String() == vip4 || f.Source.String() == vip6 || target == vip6 {
			t.Errorf("the server speaks of the virtual address: %s", f)
		}
	}
}

// all are the ports from 1 to 65535.
func all() []uint16 {
	ports := make([]uint16, 65535)
	for i := range ports {
		ports[i] = uint16(i + 1)
	}
	return ports
}

// chosen are the TCP ports that scans ask: those of probed, what is declared, and others that the seed chooses,
// as many as the environment says. 65535 are all.
func chosen(t *testing.T, p suite.Plan) []uint16 {
	t.Helper()
	n, err := suite.Number("REALSERVERS_PORTS", 8192)
	suite.Must(t, err)
	ports := probed()
	for _, port := range all() {
		if isDeclared(port, []uint16{portWeb}) {
			ports = append(ports, port)
		}
	}
	others := slices.DeleteFunc(all(), func(port uint16) bool { return slices.Contains(ports, port) })
	rand.New(rand.NewPCG(p.Seed, 0)).Shuffle(len(others), func(i, j int) { others[i], others[j] = others[j], others[i] })
	slices.Sort(ports)
	ports = slices.Compact(ports)
	return append(ports, others[:min(len(others), max(0, int(n)-len(ports)))]...)
}

// scanServer scans the virtual addresses at the server's MAC address, as if the director had passed
// every packet on; scanDirector does at the director's.
func (w *world) scanServer(t *testing.T, when string) {
	t.Helper()
	w.scanHost(t, when, w.server, nil)
}

func (w *world) scanDirector(t *testing.T) {
	t.Helper()
	w.scanHost(t, "prepared", w.director, []uint16{portWeb})
}

func (w *world) scanHost(t *testing.T, when string, host host, layer7 []uint16) {
	t.Helper()
	mac := macOf(t, host)
	for _, vip := range []string{vip4, vip6} {
		to, where := target{mac, parsed(vip)}, fmt.Sprintf("%s: %s at %s", when, vip, host.Name())
		dropped, asked := guarded(t, host), 0
		got, err := scan(w.client, to, firstPacket, w.ports, func(round int, got said) (bool, error) {
			asked = guarded(t, host) - dropped
			return asked >= 2*(len(w.ports)-len(got)), nil
		})
		suite.Must(t, err)
		if asked < 2*(len(w.ports)-len(got)) {
			t.Errorf("%s: the firewall has counted %d packets to ports that do not answer: that is not each twice", where, asked)
		}
		if vip == vip6 {
			layer7 = nil
		}
		w.wantDeclared(t, where, got, layer7)
		w.wantNothingElse(t, where, host, to, layer7)
		datagrams, err := scan(w.client, to, datagram, append(all()[:1024], 9100, 11112, 47808), func(round int, got said) (bool, error) {
			return round >= 2 && got[portSyslog] != 0, nil
		})
		suite.Must(t, err)
		if want := (said{portSyslog: 'o'}); !cmp.Equal(want, datagrams) {
			t.Errorf("%s: the UDP ports %s answer", where, text(datagrams))
		}
		suite.Verdict(t, "%s: of %d TCP ports answer %s; the firewall dropped %d packets; of 1027 UDP ports answer %s", where, len(w.ports), text(got), asked, text(datagrams))
	}
}

// probed are the ports that are also asked with packets that do not open connections.
func probed() []uint16 { return append(all()[:1024], decoyPrinter, decoyBackend) }

// wantNothingElse: TCP packets that belong to no connection draw no answer but from declared ports.
func (w *world) wantNothingElse(t *testing.T, where string, host host, to target, layer7 []uint16) {
	t.Helper()
	ports := probed()
	hidden := len(slices.DeleteFunc(slices.Clone(ports), func(port uint16) bool { return isDeclared(port, layer7) }))
	for kind, what := range stealthy() {
		dropped, asked := guarded(t, host), 0
		got, err := scan(w.client, to, what, ports, func(int, said) (bool, error) {
			asked = guarded(t, host) - dropped
			return asked >= 2*hidden, nil
		})
		suite.Must(t, err)
		if asked < 2*hidden {
			t.Errorf("%s: the firewall has counted %d packets (%s) to %d ports: that is not each twice", where, asked, kind, hidden)
		}
		for port, answer := range got {
			if !isDeclared(port, layer7) {
				t.Errorf("%s: port %d answers %s (%c) and nobody declared it", where, port, kind, answer)
			}
		}
		t.Logf("%s: of %d TCP ports answer %s to %s; the firewall dropped %d packets", where, len(ports), text(got), kind, asked)
	}
}

func isDeclared(port uint16, layer7 []uint16) bool {
	return port == portDICOM || port == portSecond || port >= rangeFirst && port <= rangeLast || slices.Contains(layer7, port)
}

func macOf(t *testing.T, host host) net.HardwareAddr {
	t.Helper()
	mac, err := net.ParseMAC(host.MAC("eth0"))
	suite.Must(t, err)
	return mac
}

func (w *world) serverAt(t *testing.T, address string) target {
	t.Helper()
	return target{macOf(t, w.server), parsed(address)}
}

// guarded is how many packets a host's firewall has dropped because nobody declared their port.
func guarded(t *testing.T, host lab.Host) (dropped int) {
	t.Helper()
	for line := range strings.Lines(mustRun(t, host, "nft list ruleset")) {
		var packets, bytes int
		if _, rules, ok := strings.Cut(line, "counter "); ok && strings.Contains(line, "drop") {
			if _, err := fmt.Sscanf(rules, "packets %d bytes %d drop", &packets, &bytes); err == nil {
				dropped += packets
			}
		}
	}
	return dropped
}

// wantEyes proves that scans see what listens: at each host's own addresses every port answers, and
// the decoys are open.
func (w *world) wantEyes(t *testing.T) {
	t.Helper()
	complete := func(_ int, got said) (bool, error) { return len(got) == len(w.ports), nil }
	for host, addresses := range map[host][]string{w.director: {director4, director6}, w.server: {server4, server6}} {
		mac := macOf(t, host)
		for _, own := range addresses {
			got, err := scan(w.client, target{mac, parsed(own)}, firstPacket, w.ports, complete)
			suite.Must(t, err)
			if len(got) != len(w.ports) || got[decoySSH] != 'o' || got[decoyPrinter] != 'o' || got[decoyBackend] != 'o' {
				t.Errorf("%s: %d of %d ports answer: the scan does not see", own, len(got), len(w.ports))
			}
			probes, err := scan(w.client, target{mac, parsed(own)}, stealthy()["ACK"], probed(), func(_ int, got said) (bool, error) { return len(got) == len(probed()), nil })
			suite.Must(t, err)
			if len(probes) != len(probed()) {
				t.Errorf("%s: %d of %d ports answer an ACK: the scan does not see", own, len(probes), len(probed()))
			}
			datagrams, err := scan(w.client, target{mac, parsed(own)}, datagram, []uint16{decoySNMP}, func(_ int, got said) (bool, error) { return len(got) > 0, nil })
			suite.Must(t, err)
			if datagrams[decoySNMP] != 'o' {
				t.Errorf("%s: the UDP decoy is not seen", own)
			}
			t.Logf("%s: %d of %d ports of its own address %s answer, decoys too", host.Name(), len(got), len(w.ports), own)
		}
	}
}

// wantDeclared: what answers is declared, and what is served answers.
func (w *world) wantDeclared(t *testing.T, where string, got said, layer7 []uint16) {
	t.Helper()
	for port, answer := range got {
		if !isDeclared(port, layer7) {
			t.Errorf("%s: port %d answers (%c) and nobody declared it", where, port, answer)
		}
	}
	for _, port := range append([]uint16{portDICOM, portSecond, 2003}, layer7...) {
		if got[port] != 'o' {
			t.Errorf("%s: port %d is declared and served, and does not answer", where, port)
		}
	}
}

// text lists what answers, in order.
func text(got said) string {
	var ports []string
	for _, port := range all() {
		if got[port] != 0 {
			ports = append(ports, fmt.Sprintf("%d%c", port, got[port]))
		}
	}
	return strings.Join(ports, " ")
}
