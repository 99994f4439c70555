//go:build machine

package insideipvs

import (
	"cmp"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

var schedulers = []string{"rr", "wrr", "lc", "wlc", "sh", "mh", "dh", "sed", "nq", "fo", "ovf", "lblc", "lblcr"}

// thresholds is the line of ipvsadm --thresholds for the destination that has some.
var thresholds = regexp.MustCompile(`192\.0\.2\.11:0 +50 +40 `)

// kind is a service with its destinations and what ipvsadm says of them, line by line.
type kind struct {
	service      genl.Service
	destinations []genl.Destination
	witness      []string
}

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

func plain(id genl.ServiceID, scheduler string) genl.Service {
	s := genl.Service{ServiceID: id, Scheduler: scheduler, PrefixLength: 32}
	if id.Is6() {
		s.PrefixLength = 128
	}
	return s
}

func persistent(s genl.Service, seconds uint32, length int) genl.Service {
	s.Flags |= genl.FlagPersistent
	s.TimeoutSeconds, s.PrefixLength = seconds, length
	return s
}

func flagged(s genl.Service, flags genl.Flags) genl.Service {
	s.Flags |= flags
	return s
}

// kinds are services of every kind that IPVS has.
func kinds() []kind {
	udp := persistent(plain(genl.ByAddress(genl.UDP, at("192.0.2.100:5060")), "rr"), 60, 32)
	udp.Engine = "sip"
	all := []kind{
		{persistent(plain(genl.ByMark(0x54000001, false), "wlc"), 300, 24), []genl.Destination{
			{Address: at("192.0.2.11:0"), Forward: genl.DirectRoute, Weight: 100, UpperThreshold: 50, LowerThreshold: 40},
			{Address: at("192.0.2.12:0"), Forward: genl.Tunnel, Weight: 0},
			{Address: at("127.0.0.1:0"), Forward: genl.LocalNode, Weight: 65535},
		}, []string{
			"-A -f 1409286145 -s wlc -p 300 -M 255.255.255.0", "-a -f 1409286145 -r 192.0.2.11:0 -g -w 100",
			"-a -f 1409286145 -r 192.0.2.12:0 -i -w 0 --tun-type ipip", "-a -f 1409286145 -r 127.0.0.1:0 -g -w 65535",
		}},
		{persistent(plain(genl.ByMark(0x54000001, true), "wlc"), 120, 64), []genl.Destination{
			{Address: at("[2001:db8::11]:0"), Forward: genl.DirectRoute, Weight: 1},
		}, []string{"-A -f 1409286145 -6 -s wlc -p 120 -M 64", "-a -f 1409286145 -6 -r [2001:db8::11]:0 -g -w 1"}},
		{udp, []genl.Destination{{Address: at("192.0.2.13:5062"), Forward: genl.Masquerade, Weight: 7}},
			[]string{"-A -u 192.0.2.100:5060 -s rr -p 60 --pe sip", "-a -u 192.0.2.100:5060 -r 192.0.2.13:5062 -m -w 7"}},
		{flagged(plain(genl.ByAddress(genl.UDP, at("192.0.2.100:53")), "rr"), genl.FlagOnePacket), nil, []string{"-A -u 192.0.2.100:53 -s rr -o"}},
		{flagged(plain(genl.ByAddress(genl.TCP, at("192.0.2.100:104")), "sh"), genl.FlagFallback|genl.FlagPort), nil,
			[]string{"-A -t 192.0.2.100:104 -s sh -b sh-fallback,sh-port"}},
		{flagged(plain(genl.ByAddress(genl.TCP, at("192.0.2.100:105")), "mh"), genl.FlagFallback), []genl.Destination{
			{Address: at("192.0.2.14:105"), Forward: genl.DirectRoute, Weight: 1},
		}, []string{"-A -t 192.0.2.100:105 -s mh -b mh-fallback", "-a -t 192.0.2.100:105 -r 192.0.2.14:105 -g -w 1"}},
		{plain(genl.ByAddress(genl.TCP, at("[2001:db8::100]:104")), "wrr"), tunnels(), []string{
			"-A -t [2001:db8::100]:104 -s wrr", "-a -t [2001:db8::100]:104 -r [2001:db8::12]:11112 -m -w 3",
			"-a -t [2001:db8::100]:104 -r 192.0.2.21:104 -i -w 1 --tun-type ipip",
			"-a -t [2001:db8::100]:104 -r 192.0.2.22:104 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum",
			"-a -t [2001:db8::100]:104 -r 192.0.2.23:104 -i -w 1 --tun-type gre --tun-csum",
			"-a -t [2001:db8::100]:104 -r 192.0.2.24:104 -i -w 1 --tun-type gue --tun-port 6081 --tun-remcsum",
		}},
		{persistent(plain(genl.ByAddress(genl.TCP, at("192.0.2.101:0")), "lc"), 1, 32), nil, []string{"-A -t 192.0.2.101:0 -s lc -p 1"}},
		{plain(genl.ByAddress(genl.SCTP, at("192.0.2.100:3868")), "rr"), nil, []string{"-A --sctp-service 192.0.2.100:3868 -s rr"}},
	}
	for i, s := range schedulers {
		id := genl.ByAddress(genl.TCP, netip.AddrPortFrom(netip.MustParseAddr("192.0.2.200"), uint16(1000+i)))
		all = append(all, kind{service: plain(id, s), witness: []string{fmt.Sprintf("-A -t 192.0.2.200:%d -s %s", 1000+i, s)}})
	}
	return all
}

func tunnels() []genl.Destination {
	d := func(address string, tunnel genl.TunnelSettings) genl.Destination {
		return genl.Destination{Address: at(address), Forward: genl.Tunnel, Weight: 1, Tunnel: tunnel}
	}
	return []genl.Destination{
		{Address: at("[2001:db8::12]:11112"), Forward: genl.Masquerade, Weight: 3},
		d("192.0.2.21:104", genl.TunnelSettings{}),
		d("192.0.2.22:104", genl.TunnelSettings{Type: genl.GUE, Port: 6080, Flags: genl.TunnelChecksum}),
		d("192.0.2.23:104", genl.TunnelSettings{Type: genl.GRE, Flags: genl.TunnelChecksum}),
		d("192.0.2.24:104", genl.TunnelSettings{Type: genl.GUE, Port: 6081, Flags: genl.TunnelRemoteChecksum}),
	}
}

// TestEveryKind writes services of every kind and has them read back by netlink, by procfs and by
// ipvsadm.
func TestEveryKind(t *testing.T) {
	c := client(t)
	want := kinds()
	var lines []string
	for _, k := range want {
		must(t, c, genl.Change{Command: genl.NewService, Service: k.service})
		for _, d := range k.destinations {
			must(t, c, genl.Change{Command: genl.NewDest, Service: k.service, Destination: d})
		}
		lines = append(lines, k.witness...)
	}
	got := strings.Split(strings.TrimSpace(netnstest.Run(t, "ipvsadm", "-S", "-n")), "\n")
	for i := range got {
		got[i] = strings.TrimSpace(got[i])
	}
	slices.Sort(got)
	slices.Sort(lines)
	if diff := gocmp.Diff(lines, got); diff != "" {
		t.Errorf("ipvsadm shows (-want +got):\n%s", diff)
	}
	if got := netnstest.Run(t, "ipvsadm", "-L", "-n", "--thresholds"); !thresholds.MatchString(got) {
		t.Errorf("ipvsadm shows no thresholds 50 and 40 of 192.0.2.11:\n%s", got)
	}
	checkNetlink(t, c, want)
	checkTable(t, c, want)
	if text, err := os.ReadFile(procfs.TablePath); err == nil {
		t.Logf("%s:\n%s", procfs.TablePath, text)
	}
}

func checkNetlink(t *testing.T, c *genl.Client, want []kind) {
	t.Helper()
	services, err := c.Services(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(services) != len(want) {
		t.Errorf("%d services, want %d", len(services), len(want))
	}
	for _, k := range want {
		at := slices.IndexFunc(services, func(s genl.Service) bool { return s.ServiceID == k.service.ServiceID })
		if at < 0 || !services[at].Equal(k.service) {
			t.Errorf("%s is not among %v", k.service, services)
		}
		if one, err := c.Service(bounded(t), k.service.ServiceID); err != nil || !one.Equal(k.service) {
			t.Errorf("%s: %v, want %v; %v", k.service.ServiceID, one, k.service, err)
		}
		found, err := c.Destinations(bounded(t), k.service.ServiceID)
		if err != nil {
			t.Error(err)
		}
		if diff := gocmp.Diff(byAddress(k.destinations), byAddress(found), gocmp.Comparer(genl.Destination.Equal)); diff != "" {
			t.Errorf("destinations of %s (-want +got):\n%s", k.service, diff)
		}
	}
}

func byAddress(all []genl.Destination) []genl.Destination {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b genl.Destination) int { return a.Address.Compare(b.Address) })
	return all
}

// checkTable holds the table against what it should have of the wanted.
func checkTable(t *testing.T, c *genl.Client, want []kind) {
	t.Helper()
	got := table(t)
	rate := uint32(0)
	for _, s := range got {
		if s.Mark == 0x54000001 && s.ClientMask == procfs.IPv4ClientMask(24) {
			rate = procfs.Rate(s.Timeout, 300)
		}
	}
	t.Logf("the kernel's clock has %d ticks a second", rate)
	var expected []procfs.Service
	for _, k := range want {
		expected = append(expected, shown(k, rate))
	}
	order := func(a, b procfs.Service) int {
		return cmp.Or(cmp.Compare(a.Mark, b.Mark), cmp.Compare(a.Timeout, b.Timeout), cmp.Compare(a.Protocol, b.Protocol), a.Address.Compare(b.Address))
	}
	slices.SortFunc(got, order)
	slices.SortFunc(expected, order)
	same := gocmp.Comparer(func(a, b procfs.Service) bool { return a.Equal(&b) })
	if diff := gocmp.Diff(expected, got, same); diff != "" {
		t.Errorf("%s has (-want +got):\n%s", procfs.TablePath, diff)
	}
	info, err := c.Info(bounded(t))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(procfs.TablePath)
	if first, _, _ := strings.Cut(string(text), "\n"); err != nil || first != info.String() {
		t.Errorf("the table begins with %q, netlink says %q, %v", first, info, err)
	}
}

// shown is what the table has of a kind.
func shown(k kind, rate uint32) procfs.Service {
	s := procfs.Service{Mark: k.service.Mark, Address: k.service.Address, Scheduler: k.service.Scheduler}
	if s.Mark == 0 {
		s.Protocol = k.service.Protocol.String()
	}
	s.OnePacket = k.service.Flags&genl.FlagOnePacket != 0
	if s.Persistent = k.service.Flags&genl.FlagPersistent != 0; s.Persistent {
		s.Timeout = procfs.Ticks(k.service.TimeoutSeconds * rate)
		s.ClientMask = procfs.IPv4ClientMask(k.service.PrefixLength)
		if k.service.Is6() {
			s.ClientMask = procfs.IPv6ClientMask(k.service.PrefixLength)
		}
	}
	for _, d := range k.destinations {
		s.Destinations = append(s.Destinations, procfs.Destination{Address: d.Address, Forward: d.Forward.String(), Weight: d.Weight})
	}
	return s
}
