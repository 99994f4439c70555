// Package ipvstest holds the contract of dataplane/ipvs as tests. They run on the fake of that
// package and, in a machine whose kernel has IPVS, on the kernel.
package ipvstest

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/model"
)

// Kernel notes the changes that a driver makes on its way to a kernel.
type Kernel struct {
	ipvs.Kernel
	steps []string
}

// Apply implements ipvs.Kernel.
func (k *Kernel) Apply(ctx context.Context, changes []genl.Change) []error {
	for _, c := range changes {
		text := fmt.Sprintf("%s %#x", c.Command, c.Service.Mark)
		if c.Service.IPv6 {
			text += " IPv6"
		}
		if c.Destination.Address.IsValid() {
			text += fmt.Sprintf(" %s weight %d", c.Destination.Address.Addr(), c.Destination.Weight)
		}
		k.steps = append(k.steps, text)
	}
	return k.Kernel.Apply(ctx, changes)
}

// Contract runs each clause of the contract on a kernel of its own; open returns one without
// services for the running test.
func Contract(t *testing.T, open func(*testing.T) ipvs.Kernel) {
	clauses := map[string]func(*testing.T, *Kernel){
		"adds services and servers":       addsAll,
		"second call writes nothing":      secondCall,
		"changes in place":                changesInPlace,
		"servers come before others go":   serversComeFirst,
		"weights are raised first":        raisedFirst,
		"weight 0 stays a server":         weightZero,
		"leftovers go, foreign ones stay": leftovers,
		"bad items do not stop others":    badItems,
		"what is there is adopted":        adopts,
		"persistence of any kind":         persistence,
		"timeouts":                        timeouts,
		"state":                           state,
		"hundreds of services":            hundreds,
		"every kind of service":           everyKind,
		"two families of one mark":        twoFamilies,
		"states of servers":               states,
		"drift is repaired":               drift,
		"bad servers stay as they are":    badServers,
		"figures":                         figures,
	}
	for clause, check := range clauses {
		t.Run(clause, func(t *testing.T) { check(t, &Kernel{Kernel: open(t)}) })
	}
}

// Dicom returns a service of two servers with persistence.
func Dicom() model.VirtualService {
	return model.VirtualService{
		Key: "imaging/radiology/dicom", Mark: 0x54000001, Protocol: model.TCP, Ports: []uint16{104, 11112},
		Addresses:  []netip.Addr{netip.MustParseAddr("192.0.2.100")},
		Forwarding: model.DirectRouting, Scheduler: model.WeightedLeastConnection,
		Persistence: &model.Persistence{Timeout: 300 * time.Second, PrefixLength: 32},
		Servers:     []model.RealServer{server("pacs-a", "192.0.2.11", 100), server("pacs-b", "192.0.2.12", 100)},
	}
}

// Web returns a service of one server without persistence.
func Web() model.VirtualService {
	return model.VirtualService{
		Key: "imaging/radiology/web", Mark: 0x54000002, Protocol: model.TCP, Ports: []uint16{443},
		Addresses:  []netip.Addr{netip.MustParseAddr("192.0.2.100")},
		Forwarding: model.DirectRouting, Scheduler: model.RoundRobin,
		Servers: []model.RealServer{server("pacs-a", "192.0.2.11", 1)},
	}
}

func server(name, address string, weight int) model.RealServer {
	return model.RealServer{Name: name, Address: netip.MustParseAddr(address), Weight: weight}
}

func (k *Kernel) driver() *ipvs.Driver { return ipvs.New(ipvs.Config{Kernel: k}) }

func (k *Kernel) mustSet(t *testing.T, all ...model.VirtualService) {
	t.Helper()
	if err := k.driver().Set(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// Table returns everything in a kernel, one line for a service or server, ascending.
func Table(t testing.TB, k ipvs.Kernel) []string {
	t.Helper()
	services, err := k.Services(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, s := range services {
		found, err := k.Destinations(t.Context(), s.ServiceID)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, Lines(s, found)...)
	}
	slices.Sort(lines)
	return lines
}

// Lines are those of one service in a Table.
func Lines(s genl.Service, found []genl.Destination) []string {
	line := fmt.Sprintf("%s %s", s.ServiceID, s.Scheduler)
	if s.Flags != 0 || s.Engine != "" {
		line += fmt.Sprintf(" flags %#x timeout %d /%d", uint32(s.Flags), s.TimeoutSeconds, s.PrefixLength)
	}
	lines := []string{line + s.Engine}
	for _, d := range found {
		line := fmt.Sprintf("%s -> %s forward %d weight %d", s.ServiceID, d.Address, d.Forward, d.Weight)
		if d.UpperThreshold != 0 || d.LowerThreshold != 0 {
			line += fmt.Sprintf(" connections %d to %d", d.LowerThreshold, d.UpperThreshold)
		}
		if d.Tunnel != (genl.TunnelSettings{}) {
			line += fmt.Sprintf(" tunnel %v", d.Tunnel)
		}
		lines = append(lines, line)
	}
	return lines
}

func (k *Kernel) table(t *testing.T) []string { return Table(t, k) }

func (k *Kernel) wantTable(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, k.table(t)); diff != "" {
		t.Fatalf("table (-want +got):\n%s", diff)
	}
}

func (k *Kernel) wantSteps(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, k.steps); diff != "" {
		t.Fatalf("steps (-want +got):\n%s", diff)
	}
	k.steps = nil
}

// put makes changes as another program would.
func (k *Kernel) put(t *testing.T, changes ...genl.Change) {
	t.Helper()
	for i, err := range k.Kernel.Apply(t.Context(), changes) {
		if err != nil {
			t.Fatalf("%s: %v", changes[i], err)
		}
	}
}

func addsAll(t *testing.T, k *Kernel) {
	k.mustSet(t, Dicom(), Web())
	k.wantTable(t,
		"firewall mark 0x54000001 -> 192.0.2.11:0 forward 3 weight 100",
		"firewall mark 0x54000001 -> 192.0.2.12:0 forward 3 weight 100",
		"firewall mark 0x54000001 wlc flags 0x1 timeout 300 /32",
		"firewall mark 0x54000002 -> 192.0.2.11:0 forward 3 weight 1",
		"firewall mark 0x54000002 rr",
	)
	k.mustSet(t)
	k.wantTable(t)
}

func secondCall(t *testing.T, k *Kernel) {
	k.mustSet(t, Dicom(), Web())
	k.steps = nil
	k.mustSet(t, Web(), Dicom())
	k.wantSteps(t)
}

func changesInPlace(t *testing.T, k *Kernel) {
	k.mustSet(t, Dicom())
	k.steps = nil
	next := Dicom()
	next.Scheduler = model.LeastConnection
	k.mustSet(t, next)
	k.wantSteps(t, "change service 0x54000001")
	next.Persistence = nil
	k.mustSet(t, next)
	k.wantSteps(t, "change service 0x54000001")
	k.wantTable(t,
		"firewall mark 0x54000001 -> 192.0.2.11:0 forward 3 weight 100",
		"firewall mark 0x54000001 -> 192.0.2.12:0 forward 3 weight 100",
		"firewall mark 0x54000001 lc",
	)
}

func serversComeFirst(t *testing.T, k *Kernel) {
	k.mustSet(t, Dicom())
	k.steps = nil
	next := Dicom()
	next.Servers = []model.RealServer{server("pacs-c", "192.0.2.13", 50), server("pacs-b", "192.0.2.12", 100)}
	k.mustSet(t, next)
	k.wantSteps(t, "add destination 0x54000001 192.0.2.13 weight 50", "remove destination 0x54000001 192.0.2.11 weight 100")
}

func raisedFirst(t *testing.T, k *Kernel) {
	before := Dicom()
	before.Servers[1].Weight = 0
	k.mustSet(t, before)
	k.steps = nil
	next := Dicom()
	next.Servers[0].Weight = 0
	k.mustSet(t, next)
	k.wantSteps(t, "change destination 0x54000001 192.0.2.12 weight 100", "change destination 0x54000001 192.0.2.11 weight 0")
}

func weightZero(t *testing.T, k *Kernel) {
	next := Web()
	next.Servers[0].Weight = 0
	k.mustSet(t, next)
	k.wantTable(t, "firewall mark 0x54000002 -> 192.0.2.11:0 forward 3 weight 0", "firewall mark 0x54000002 rr")
	next.Servers[0].Weight = 65_535
	k.mustSet(t, next)
	k.wantTable(t, "firewall mark 0x54000002 -> 192.0.2.11:0 forward 3 weight 65535", "firewall mark 0x54000002 rr")
}

func foreign() []genl.Change {
	byMark := genl.Service{ServiceID: genl.ByMark(0x55000001, false), Scheduler: "rr", PrefixLength: 32}
	byAddress := genl.Service{ServiceID: genl.ByAddress(genl.TCP, netip.MustParseAddrPort("198.51.100.1:80")), Scheduler: "wrr", PrefixLength: 32}
	d := genl.Destination{Address: netip.MustParseAddrPort("192.0.2.99:8080"), Weight: 7}
	return []genl.Change{
		{Command: genl.NewService, Service: byMark},
		{Command: genl.NewService, Service: byAddress},
		{Command: genl.NewDest, Service: byAddress, Destination: d},
	}
}

func leftovers(t *testing.T, k *Kernel) {
	k.put(t, foreign()...)
	before := k.table(t)
	k.mustSet(t, Dicom(), Web())
	k.mustSet(t)
	k.wantTable(t, before...)
}

func badItems(t *testing.T, k *Kernel) {
	k.mustSet(t, Dicom())
	kept := Dicom()
	kept.Scheduler = "dh"
	twice := Web()
	twice.Key = "twice"
	outside := Web()
	outside.Key, outside.Mark = "outside", 0x10
	long := Web()
	long.Key, long.Mark, long.Persistence = "long", 0x54000003, &model.Persistence{Timeout: 1500 * time.Millisecond, PrefixLength: 32}
	servers := Web()
	servers.Servers = append(servers.Servers, server("heavy", "192.0.2.14", 70_000), server("six", "2001:db8::1", 1), server("again", "192.0.2.11", 1))
	err := k.driver().Set(t.Context(), []model.VirtualService{kept, servers, twice, outside, long})
	items, rest := model.ItemErrors(err)
	if len(items) != 5 || rest != nil {
		t.Errorf("item errors %v, rest %v, want one for each service", items, rest)
	}
	for _, words := range []string{"not one of rr", "same firewall mark", "not in the configured range", "whole seconds", "0 to 65535", "IPv4 or IPv6", "sum up"} {
		if !strings.Contains(err.Error(), words) {
			t.Errorf("the words %q are missing in %v", words, err)
		}
	}
	k.wantTable(t,
		"firewall mark 0x54000001 -> 192.0.2.11:0 forward 3 weight 100",
		"firewall mark 0x54000001 -> 192.0.2.12:0 forward 3 weight 100",
		"firewall mark 0x54000001 wlc flags 0x1 timeout 300 /32",
		"firewall mark 0x54000002 -> 192.0.2.11:0 forward 3 weight 1",
		"firewall mark 0x54000002 rr",
	)
}

// adopts finds a service of ours that is wrong in every way but its mark.
func adopts(t *testing.T, k *Kernel) {
	s := genl.Service{
		ServiceID: genl.ByMark(0x54000001, false), Scheduler: "rr", Flags: genl.FlagPersistent | genl.FlagOnePacket | genl.FlagPort,
		TimeoutSeconds: 60, PrefixLength: 24,
	}
	a := genl.Destination{Address: at("192.0.2.11:0"), Forward: genl.Tunnel, Weight: 3, UpperThreshold: 9, Tunnel: genl.TunnelSettings{Type: genl.GUE, Port: 6080}}
	b := genl.Destination{Address: at("192.0.2.12:104"), Forward: genl.Masquerade, Weight: 3}
	k.put(t, genl.Change{Command: genl.NewService, Service: s},
		genl.Change{Command: genl.NewDest, Service: s, Destination: a}, genl.Change{Command: genl.NewDest, Service: s, Destination: b})
	k.mustSet(t, Dicom())
	k.wantSteps(t,
		"add destination 0x54000001 192.0.2.12 weight 100",
		"change service 0x54000001",
		"change destination 0x54000001 192.0.2.11 weight 100",
		"remove destination 0x54000001 192.0.2.12 weight 3",
	)
	k.mustSet(t, Dicom())
	k.wantSteps(t)
}

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func persistence(t *testing.T, k *Kernel) {
	for _, p := range []model.Persistence{{Timeout: time.Second, PrefixLength: 1}, {Timeout: time.Hour, PrefixLength: 24}, {Timeout: 31 * 24 * time.Hour, PrefixLength: 31}} {
		next := Web()
		next.Persistence = &p
		k.mustSet(t, next)
		k.wantTable(t,
			"firewall mark 0x54000002 -> 192.0.2.11:0 forward 3 weight 1",
			fmt.Sprintf("firewall mark 0x54000002 rr flags 0x1 timeout %d /%d", int(p.Timeout.Seconds()), p.PrefixLength),
		)
		k.steps = nil
		k.mustSet(t, next)
		k.wantSteps(t)
	}
}

func timeouts(t *testing.T, k *Kernel) {
	d := ipvs.New(ipvs.Config{Kernel: k, SysctlDir: Sysctls(t)})
	if err := d.Available(t.Context()); err != nil {
		t.Fatal(err)
	}
	before, err := k.Timeouts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := before
	next.TCP, next.UDP = time.Hour, time.Second
	for _, tc := range []struct {
		services []model.VirtualService
		timeouts model.IPVSTimeouts
		want     genl.Timeouts
	}{
		{[]model.VirtualService{Web()}, model.IPVSTimeouts{TCP: 3600 * time.Second, UDP: 300 * time.Millisecond}, next},
		{[]model.VirtualService{Web()}, model.IPVSTimeouts{TCP: 7200 * time.Second}, genl.Timeouts{TCP: 2 * time.Hour, TCPFin: before.TCPFin, UDP: before.UDP}},
		{nil, model.IPVSTimeouts{}, before},
	} {
		if err := errors.Join(d.Set(t.Context(), tc.services), d.SetSettings(t.Context(), tc.timeouts)); err != nil {
			t.Fatal(err)
		}
		if got, err := k.Timeouts(t.Context()); got != tc.want || err != nil {
			t.Errorf("timeouts are %+v, %v, want %+v", got, err, tc.want)
		}
	}
}

// Sysctls makes a folder like /proc/sys/net/ipv4/vs of a kernel that was just started.
func Sysctls(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	for name, value := range map[string]string{
		"expire_quiescent_template": "0", "expire_nodest_conn": "0", "conn_reuse_mode": "1", "sloppy_tcp": "0",
		"schedule_icmp": "0", "conntrack": "0", "pmtu_disc": "1", "other": "7",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(value+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func state(t *testing.T, k *Kernel) {
	k.put(t, foreign()...)
	d := k.driver()
	if err := d.Set(t.Context(), []model.VirtualService{Web(), Dicom()}); err != nil {
		t.Fatal(err)
	}
	got, err := d.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	a, b := netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.12")
	want := []ipvs.Observed{
		{
			Key: Dicom().Key, Mark: 0x54000001, Scheduler: "wlc", Persistence: Dicom().Persistence,
			Servers: []ipvs.ObservedServer{
				{Address: a, Weight: 100, Forwarding: model.DirectRouting}, {Address: b, Weight: 100, Forwarding: model.DirectRouting},
			},
		},
		{Key: Web().Key, Mark: 0x54000002, Scheduler: "rr", Servers: []ipvs.ObservedServer{{Address: a, Weight: 1, Forwarding: model.DirectRouting}}},
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
}

func hundreds(t *testing.T, k *Kernel) {
	var all []model.VirtualService
	for i := range 300 {
		s := Dicom()
		s.Key, s.Mark = fmt.Sprint("service", i), 0x54000100+uint32(i)
		all = append(all, s)
	}
	begin := time.Now()
	k.mustSet(t, all...)
	added := time.Since(begin)
	k.steps = nil
	begin = time.Now()
	k.mustSet(t, all...)
	t.Logf("300 services of two servers: added in %s, compared in %s", added, time.Since(begin))
	k.wantSteps(t)
	k.mustSet(t, all[:1]...)
	if got := len(k.table(t)); got != 3 {
		t.Errorf("%d lines in the table, want 3", got)
	}
}
