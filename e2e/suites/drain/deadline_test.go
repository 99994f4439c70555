package drain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/lab/pcap"
	"github.com/truepacs/balancer/e2e/paths"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// TestDeadlineResets drains a server whose clients stay: at the deadline, which the agent's death
// does not move, both ends of each connection get a reset, of those that speak and of those that are
// silent, and the other server's get none. Clients that were kept on the server find the other one.
// Then maintenance does the same at once.
func TestDeadlineResets(t *testing.T) {
	p, err := plan().Read()
	suite.Must(t, err)
	w := newWorld(t)
	p.Round(t, func(uint64) {
		first := w.hold(t, w.Modalities[0].Host, w.Modalities[1].Host, w.Modalities[2].Host, w.Modalities[3].Host)
		w.deadline(t, first)
		second := w.hold(t, w.Modalities[4].Host, w.Modalities[5].Host, w.Viewer)
		w.maintenance(t, append(second, first.staying()...))
	})
}

// conn is a connection that a client holds.
type conn struct {
	net.Conn
	client lab.Host
	server int
	silent bool

	mu    sync.Mutex
	beats int
	err   error
	ended chan struct{}
}

type conns []*conn

// staying are those to the server that stays.
func (all conns) staying() conns { return all.on(stays) }

func (all conns) on(server int) (some conns) {
	for _, c := range all {
		if c.server == server {
			some = append(some, c)
		}
	}
	return some
}

// hold opens four connections from each client, every second of which stays silent after it has
// exchanged a byte. They must be on both servers.
func (w *world) hold(t *testing.T, clients ...lab.Host) conns {
	t.Helper()
	var all conns
	for _, client := range clients {
		for n := range 4 {
			c := w.open(t, client, n%2 == 1)
			go c.hold()
			all = append(all, c)
		}
	}
	if len(all.on(stays)) == 0 || len(all.on(leaves)) == 0 {
		t.Fatalf("%d and %d connections, the sample is empty", len(all.on(stays)), len(all.on(leaves)))
	}
	return all
}

// open opens a connection and asks ss on the servers where it is.
func (w *world) open(t *testing.T, client lab.Host, silent bool) *conn {
	t.Helper()
	dialed, err := paths.Direct.Dial(client)(t.Context())
	suite.Must(t, err)
	t.Cleanup(func() { _ = dialed.Close() })
	suite.Must(t, paths.Ping(dialed))
	suite.Must(t, dialed.SetDeadline(time.Time{}))
	c := &conn{Conn: dialed, client: client, silent: silent, server: -1, ended: make(chan struct{})}
	for server := range w.Site.Servers {
		if w.peers(t, server, int(paths.Direct))[dialed.LocalAddr().String()] {
			c.server = server
		}
	}
	if c.server < 0 {
		t.Fatalf("no server has the connection of %s", client.Name())
	}
	return c
}

// hold keeps the connection until it ends.
func (c *conn) hold() {
	defer close(c.ended)
	b := []byte{'x'}
	for {
		var err error
		if !c.silent {
			time.Sleep(300 * time.Millisecond)
			_, err = c.Write(b)
		}
		if err == nil {
			_, err = io.ReadFull(c, b)
		}
		c.mu.Lock()
		c.beats++
		c.err = err
		c.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// alive tells whether the connection stands and, unless it is silent, is in use.
func (c *conn) alive() error {
	select {
	case <-c.ended:
		c.mu.Lock()
		defer c.mu.Unlock()
		return fmt.Errorf("the connection of %s from %s ended: %w", c.client.Name(), c.LocalAddr(), c.err)
	default:
		return nil
	}
}

// alive checks all of them.
func (all conns) alive(t *testing.T, when string) {
	t.Helper()
	for _, c := range all {
		if err := c.alive(); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
}

// reset waits until all have ended by a reset.
func (all conns) reset(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for _, c := range all {
		select {
		case <-c.ended:
			if !errors.Is(c.err, syscall.ECONNRESET) {
				t.Errorf("the connection of %s, silent %t, ended by %v", c.client.Name(), c.silent, c.err)
			}
		case <-ctx.Done():
			t.Fatalf("the connection of %s, silent %t, does not end", c.client.Name(), c.silent)
		}
	}
}

// witnesses are captures of resets at both servers and at all clients.
type witnesses struct {
	servers []*lab.Capture
	clients map[lab.Host]*lab.Capture
}

func (w *world) witness(t *testing.T, all conns) witnesses {
	t.Helper()
	seen := witnesses{clients: map[lab.Host]*lab.Capture{}}
	for _, server := range w.Site.Servers {
		seen.servers = append(seen.servers, record(t, server.Host, resets(int(paths.Direct))))
	}
	for _, c := range all {
		if seen.clients[c.client] == nil {
			seen.clients[c.client] = record(t, c.client, resets(int(paths.Direct)))
		}
	}
	return seen
}

// hold the captures against the connections: those to the server that leaves got a reset at either
// end and none before the given time, and nobody else got one.
func (seen witnesses) compare(t *testing.T, all conns, earliest time.Time) {
	t.Helper()
	vip := netip.MustParseAddr(site.VIP)
	atClient, atServer := map[string]int{}, map[string]int{}
	note := func(f pcap.Frame, at map[string]int, address netip.Addr, port uint16) {
		at[netip.AddrPortFrom(address, port).String()]++
		if f.Time.Before(earliest) {
			t.Errorf("a reset came %s too early: %s", earliest.Sub(f.Time), f)
		}
	}
	for _, c := range seen.clients {
		for _, f := range frames(t, c) {
			if f.Source == vip {
				note(f, atClient, f.Destination, f.DestinationPort)
			}
		}
	}
	for server, c := range seen.servers {
		for _, f := range frames(t, c) {
			if f.Destination == vip && server == leaves {
				note(f, atServer, f.Source, f.SourcePort)
			}
			if server == stays {
				t.Errorf("a reset at the server that stays: %s", f)
			}
		}
	}
	for _, c := range all {
		name := c.LocalAddr().String()
		if want := c.server == leaves; want != (atClient[name] > 0) || want != (atServer[name] > 0) {
			t.Errorf("connection of %s to server %d, silent %t: %d resets at the client, %d at the server", name, c.server, c.silent, atClient[name], atServer[name])
		}
	}
}

// deadline drains the server and waits.
func (w *world) deadline(t *testing.T, all conns) {
	t.Helper()
	leaving, templates := all.on(leaves), w.templates(t)
	if templates == 0 {
		t.Fatal("IPVS remembers no client, the sample is empty")
	}
	seen := w.witness(t, all)
	earliest := time.Now().Add(timeoutSeconds * time.Second)
	w.edit(t, v1alpha1.StateActive, v1alpha1.StateDrain)
	before := w.awaitState(t, "held", v1alpha1.ServerDraining, fmt.Sprintf("%d connections are left", len(leaving)))
	if c := w.open(t, leaving[0].client, false); c.server != stays {
		t.Errorf("a client that is kept on %s came back to it", leaver)
	}
	w.restartAgent(t)
	after := w.awaitState(t, "held", v1alpha1.ServerDraining, " will be reset ")
	if limit(before.Message) != limit(after.Message) || limit(before.Message) == "" {
		t.Errorf("the agent's death moved the deadline:\n%s\n%s", before.Message, after.Message)
	}
	all.alive(t, "before the deadline")
	leaving.reset(t)
	w.awaitState(t, "held", v1alpha1.ServerDrained, "")
	seen.compare(t, all, earliest)
	all.staying().alive(t, "after the deadline")
	if left := w.peers(t, leaves, int(paths.Direct)); len(left) > 0 {
		t.Errorf("%s still has %v", leaver, left)
	}
	if out := w.established(t); strings.Contains(out, "192.0.2.12:7007") {
		t.Errorf("IPVS still knows connections to %s:\n%s", leaver, out)
	}
	w.edit(t, v1alpha1.StateActive, v1alpha1.StateActive)
	w.awaitState(t, "held", v1alpha1.ServerActive, "")
	suite.Verdict(t, "%d connections, %d of them reset at both ends at the deadline and not before, one in two silent; %d on the other server went on; "+
		"%d clients were remembered, none came back to %s; killing the agent moved nothing", len(all), len(leaving), len(all.staying()), templates, leaver)
}

// limit is the deadline in a message.
func limit(message string) string {
	_, rest, _ := strings.Cut(message, "left at ")
	at, _, _ := strings.Cut(rest, " ")
	return at
}

// templates counts the clients that IPVS remembers.
func (w *world) templates(t *testing.T) int {
	t.Helper()
	out, err := w.MustRun(t.Context(), w.Director, "ipvsadm", "-Lnc")
	suite.Must(t, err)
	return strings.Count(out, " NONE ") + strings.Count(out, " ASSURED ")
}

func (w *world) established(t *testing.T) string {
	t.Helper()
	out, err := w.MustRun(t.Context(), w.Director, "sh", "-c", "ipvsadm -Lnc | grep ESTABLISHED || true")
	suite.Must(t, err)
	return out
}

// maintenance takes the server out at once.
func (w *world) maintenance(t *testing.T, all conns) {
	t.Helper()
	leaving := all.on(leaves)
	seen := w.witness(t, all)
	earliest := time.Now()
	w.edit(t, v1alpha1.StateActive, v1alpha1.StateMaintenance)
	leaving.reset(t)
	w.awaitState(t, "held", v1alpha1.ServerMaintenance, "")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, "IPVS forgets the server", func() error {
		out, err := w.MustRun(ctx, w.Director, "sh", "-c", "ipvsadm -Ln | grep -c 192.0.2.12 || true")
		if err == nil && strings.TrimSpace(out) != "1" { // the other service has it
			err = fmt.Errorf("it is there %s times", strings.TrimSpace(out))
		}
		return err
	}))
	seen.compare(t, all, earliest)
	all.staying().alive(t, "during maintenance")
	w.edit(t, v1alpha1.StateActive, v1alpha1.StateActive)
	w.awaitState(t, "held", v1alpha1.ServerActive, "")
	suite.Verdict(t, "maintenance reset %d connections at both ends at once, %d on the other server went on", len(leaving), len(all.staying()))
}
