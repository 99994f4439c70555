package drivers_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/suite"
)

// A long run of states under connections.
const (
	stateRuns    = 5  // times the program runs in the machine
	statesEach   = 20 // states of the kernel that each run converges from
	keptFlows    = 24 // connections through the service that keeps its server
	foreignFlows = 6  // connections through a service that is not ours
)

// foreign is a service of somebody else: its virtual IP and port.
const foreign = "198.51.100.1:80"

// checkConnectionsOutliveStates has connections to pacs-a through a service of ours and to pacs-b
// through one of somebody else, while the kernel is brought into random states, all of which keep
// pacs-a, and the driver converges from each. After each run ss has to see the same connections at
// both ends, and each has to answer; those of ours answer all the while. The program in the machine holds what ipvsadm saves and counts
// of the others' services against what it was.
func checkConnectionsOutliveStates(t *testing.T, director *lab.Machine, client *lab.Namespace, servers map[string]*lab.Namespace) {
	echoes(t, servers["pacs-a"], virtualIP+":2762")
	kept := dicom(100, 0)
	kept.Ports = []uint16{104, 2762}
	apply(t, director, model.Node{VirtualIPs: vips(), Services: []model.VirtualService{kept}})
	makeForeign(t, director, client, servers["pacs-b"])
	groups := []*flows{
		openFlows(t, client, servers["pacs-a"], virtualIP+":2762", keptFlows),
		openFlows(t, client, servers["pacs-b"], foreign, foreignFlows),
	}
	for _, g := range groups {
		g.check(t, "before")
	}
	seed, exchanged := rand.Uint32(), 0
	for i := range uint32(stateRuns) {
		when := fmt.Sprintf("after state %d, seed %d", statesEach*(i+1), seed+i)
		exchanged += groups[0].busy(t, when, func() {
			run(t, director, "env", fmt.Sprint("SEED=", seed+i), fmt.Sprint("STATES=", statesEach),
				"/tmp/inside", "-test.run=^TestStatesUnderFlows$", "-test.timeout=5m")
		})
		for _, g := range groups {
			g.check(t, when)
		}
	}
	suite.Verdict(t, "%d connections of ours with %d exchanges and %d of others, at rest, through %d states of the kernel, seeds from %d: none cut, ss sees the same at both ends; "+
		"what ipvsadm saves and counts of others is the same before and after each", keptFlows, exchanged, foreignFlows, stateRuns*statesEach, seed)
}

// makeForeign gives the director a service that somebody else has made, with pacs-b behind it.
func makeForeign(t *testing.T, director, client lab.Host, server *lab.Namespace) {
	t.Helper()
	at := netip.MustParseAddrPort(foreign).Addr().String()
	for _, h := range []lab.Host{director, server} {
		run(t, h, "ip", "address", "add", at+"/32", "dev", "lo")
	}
	run(t, client, "ip", "route", "add", at, "via", "192.0.2.2")
	echoes(t, server, foreign)
	run(t, director, "ipvsadm", "-A", "-t", foreign, "-s", "wrr")
	run(t, director, "ipvsadm", "-a", "-t", foreign, "-r", "192.0.2.12", "-g", "-w", "3")
	t.Cleanup(func() { // t is of a subtest: others follow on the same hosts, its context is over
		for host, command := range map[lab.Host]string{
			director: "ipvsadm -D -t " + foreign + " && ip address del " + at + "/32 dev lo", server: "ip address del " + at + "/32 dev lo",
			client: "ip route del " + at,
		} {
			if out, err := host.Run(context.WithoutCancel(t.Context()), "sh", "-c", command); err != nil || out.ExitCode != 0 {
				t.Errorf("%s: %s: %v %s", host.Name(), command, err, out.Stderr)
			}
		}
	})
}

// echoes serves connections by sending back what comes.
func echoes(t *testing.T, server *lab.Namespace, address string) {
	t.Helper()
	err := server.Serve(t.Context(), "tcp4", address, func(conn net.Conn) {
		if err := conn.(*net.TCPConn).SetKeepAlive(false); err == nil {
			_, _ = io.Copy(conn, conn)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// flows are open connections of a client to a server.
type flows struct {
	to             string
	client, server lab.Host
	all            []net.Conn
	want           map[string]bool // the client's ends
}

func openFlows(t *testing.T, client, server *lab.Namespace, to string, n int) *flows {
	t.Helper()
	f := &flows{to: to, client: client, server: server, want: map[string]bool{}}
	for range n {
		conn := open(t, client, to)
		if err := conn.(*net.TCPConn).SetKeepAlive(false); err != nil { // nothing is to be counted meanwhile
			t.Fatal(err)
		}
		f.all = append(f.all, conn)
		f.want[conn.LocalAddr().String()] = true
	}
	return f
}

// check wants ss to see exactly these connections at both ends, and each to answer.
func (f *flows) check(t *testing.T, when string) {
	t.Helper()
	for _, side := range []struct {
		host   lab.Host
		filter string
		column int // of ss: 2 is the host's own end, 3 the other one
	}{{f.client, "dst", 2}, {f.server, "src", 3}} {
		seen := map[string]bool{}
		for line := range strings.Lines(run(t, side.host, "ss", "-Htn", "state", "established", side.filter, f.to)) {
			if fields := strings.Fields(line); len(fields) > 3 {
				seen[fields[side.column]] = true
			}
		}
		if !maps.Equal(seen, f.want) || len(seen) == 0 {
			t.Fatalf("%s: ss on %s sees %d connections to %s, want %d: %v", when, side.host.Name(), len(seen), f.to, len(f.want), seen)
		}
	}
	for _, conn := range f.all {
		if err := echo(conn, when); err != nil {
			t.Fatalf("%s: the connection from %s to %s is lost: %v", when, conn.LocalAddr(), f.to, err)
		}
	}
}

// busy has the connections exchange words while something is done, and returns how many.
func (f *flows) busy(t *testing.T, when string, do func()) (exchanged int) {
	t.Helper()
	counts, errs := make([]int, len(f.all)), make([]error, len(f.all))
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for i, conn := range f.all {
		wg.Go(func() {
			for errs[i] == nil {
				select {
				case <-stop:
					return
				case <-time.After(50 * time.Millisecond):
					errs[i] = echo(conn, "word")
					counts[i]++
				}
			}
		})
	}
	func() {
		defer wg.Wait()
		defer close(stop)
		do()
	}()
	for i, conn := range f.all {
		exchanged += counts[i]
		if errs[i] != nil || counts[i] == 0 {
			t.Fatalf("%s: the connection from %s to %s after %d exchanges: %v", when, conn.LocalAddr(), f.to, counts[i], errs[i])
		}
	}
	return exchanged
}

// echo sends a word and wants it back.
func echo(conn net.Conn, word string) error {
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return err
	}
	if _, err := io.WriteString(conn, word); err != nil {
		return err
	}
	answer := make([]byte, len(word))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if string(answer) != word {
		return fmt.Errorf("answer %q", answer)
	}
	return nil
}
