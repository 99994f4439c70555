package findings

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/lab/pcap"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

func says(parts ...string) func(*world) []string {
	return func(*world) []string { return parts }
}

// director makes an act of a command on the director.
func director(command string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		t.Helper()
		w.onDirector(t, command)
	}
}

// server makes an act of a command on a server.
func server(i int, command string) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		t.Helper()
		w.onServer(t, i, command)
	}
}

// manifested makes an act of a manifest.
func manifested(s spec) func(*testing.T, *world) {
	return func(t *testing.T, w *world) {
		t.Helper()
		w.manifest(t, s)
	}
}

const sound = v1alpha1.ConditionNetworkSound

// items are all misconfigurations that this machine can provoke.
func items() []item {
	all := append(ofServers(), ofTheDirector()...)
	return append(append(all, ofManifests()...), moduleMissing(), directorIsGateway(), marksAltered(), portTaken(), addressTaken(), returnPathMissing())
}

// last is a host of the segment that is no server.
func last(w *world) *lab.Namespace { return w.Modalities[site.Modalities-1].Host.(*lab.Namespace) }

// ofServers are those on servers and other hosts of the segment.
func ofServers() []item {
	return []item{
		{
			name:    "server answers ARP for the VIP",
			provoke: server(0, "ip address add "+site.VIP+"/32 dev eth0"), fix: server(0, "ip address del "+site.VIP+"/32 dev eth0"),
			condition: sound, reason: "ServerAnswersARP",
			says: func(w *world) []string {
				return []string{"pacs-a (192.0.2.11, " + w.serverMAC(0) + ")", site.VIP, "realserver-setup"}
			},
		},
		{
			name:    "server without the VIP",
			provoke: server(1, "ip address del "+site.VIP+"/32 dev lo"), fix: server(1, "ip address add "+site.VIP+"/32 dev lo"),
			condition: sound, reason: "ServerWithoutVIP", says: says("pacs-b (192.0.2.12)", site.VIP, "realserver-setup"),
			checkAfter: func(t *testing.T, w *world) {
				for range 4 {
					suite.Must(t, w.ping(t.Context(), w.near(), site.VIP, 7007))
				}
			},
		},
		{
			name: "VIP owned by another host",
			provoke: func(t *testing.T, w *world) {
				w.on(t, last(w), "ip address add "+site.VIP+"/24 dev eth0")
			},
			fix:       func(t *testing.T, w *world) { w.on(t, last(w), "ip address del "+site.VIP+"/24 dev eth0") },
			condition: sound, reason: "AddressOwnedByOther",
			says: func(w *world) []string { return []string{last(w).MAC("eth0"), site.VIP} },
		},
		{
			name:    "MTU mismatch",
			provoke: server(1, "ip link set eth0 mtu 1400"), fix: server(1, "ip link set eth0 mtu 1500"),
			condition: sound, reason: "MTUMismatch", says: says("pacs-b (192.0.2.12)", "1400", "eth0", "1500"),
		},
	}
}

// ofTheDirector are those on the director itself.
func ofTheDirector() []item {
	const sourceCheck = "/proc/sys/net/ipv4/conf/eth0/rp_filter"
	const foreign = "ipvsadm -Ln | grep -q 192.0.2.7:80"
	return []item{
		{
			name: "strict rp_filter", // of a director with two networks, whose default route is on the other one
			provoke: director("ip link add storage0 type dummy && ip address add 203.0.113.2/24 dev storage0 && ip link set storage0 up && echo 1 > " + sourceCheck +
				" && ip route replace default via 203.0.113.1"),
			fix:       director("echo 2 > " + sourceCheck),
			condition: sound, reason: "StrictSourceCheck", says: says("eth0", "storage0", "net.ipv4.conf.eth0.rp_filter=2"),
			// A second network alone is no reason, as that of a node's pods.
			checkAfter: func(t *testing.T, w *world) {
				w.onDirector(t, "ip route replace default via "+routerNear+"; echo 1 > "+sourceCheck)
				for end := time.Now().Add(6 * time.Second); time.Now().Before(end); time.Sleep(500 * time.Millisecond) {
					o, err := w.overview(t)
					suite.Must(t, err)
					suite.Must(t, o.sound())
				}
				w.onDirector(t, "ip link del storage0; echo 0 > "+sourceCheck)
			},
		},
		{
			name:    "foreign IPVS entries",
			provoke: director("ipvsadm -A -t 192.0.2.7:80 -s rr"), fix: director("ipvsadm -D -t 192.0.2.7:80"),
			says: says("192.0.2.7:80", "ipvsadm -D"), check: director(foreign), // left alone
		},
		{
			name:      "kube-proxy in IPVS mode",
			provoke:   director("ip link add kube-ipvs0 type dummy && ipvsadm -A -t 10.96.0.1:443 -s rr"),
			fix:       director("ip link del kube-ipvs0 && ipvsadm -D -t 10.96.0.1:443"),
			condition: sound, reason: "KubeProxyIPVS", says: says("kube-proxy", "nftables"),
		},
	}
}

// ofManifests are those that the spec alone shows.
func ofManifests() []item {
	one := "  - {name: shared, virtualIPs: [main], mode: L7SNAT, ports: [7207], serverPool: proxied, layer7: {application: TCP}}\n"
	return []item{
		{
			name:    "server off the segment",
			provoke: manifested(spec{serverB: "203.0.113.12"}), fix: manifested(spec{}),
			condition: v1alpha1.ConditionAccepted, says: says("pacs-b", "203.0.113.12"),
		},
		{
			name:    "translation asked of DR",
			provoke: manifested(spec{port: 7008}), fix: manifested(spec{}),
			condition: v1alpha1.ConditionAccepted, says: says("flows.yaml", "cannot translate ports"),
		},
		{
			name:    "one VIP for DR and L7, servers that call it",
			provoke: manifested(spec{service: one}), fix: manifested(spec{}),
			says: says("pacs-a (192.0.2.11)", site.VIP, "another virtual IP"),
		},
	}
}

// noModule keeps the kernel from loading a module by itself.
const noModule = "/etc/modprobe.d/no-ipvs.conf"

// moduleMissing starts the product on a kernel without IPVS; that is put right while it runs.
func moduleMissing() item {
	var pids string
	return item{
		name: "module missing",
		provoke: func(t *testing.T, w *world) {
			agent := w.Agent(w.Director)
			suite.Must(t, agent.Signal(syscall.SIGTERM))
			<-agent.Done()
			w.onDirector(t, "ipvsadm -C; mkdir -p /etc/modprobe.d; echo 'install ip_vs /bin/false' > "+noModule+
				"; for m in $(sed -n 's/^\\(ip_vs_[a-z]*\\) .*/\\1/p' /proc/modules); do rmmod $m || exit 1; done; rmmod ip_vs")
			w.startClock()
			suite.Must(t, w.StartAgent(t.Context(), w.Director))
		},
		condition: v1alpha1.ConditionProgrammed, reason: "ModuleMissing", says: says("modprobe ip_vs", "/etc/modules-load.d"),
		check: func(t *testing.T, w *world) { pids = w.onDirector(t, "pidof truepacs") },
		fix:   director("rm " + noModule + " && modprobe ip_vs"),
		checkAfter: func(t *testing.T, w *world) {
			suite.Must(t, w.ping(t.Context(), w.near(), site.VIP, 7007))
			for _, pid := range strings.Fields(pids) {
				w.onDirector(t, "kill -0 "+pid) // nothing was started again
			}
		},
	}
}

// directorIsGateway has a client behind the router all the time: it gets no answer until the server
// has its router back.
func directorIsGateway() item {
	var stop func()
	route := func(via string) func(*testing.T, *world) { return server(0, "ip route replace default via "+via) }
	return item{
		name: "the director is the gateway of a server",
		provoke: func(t *testing.T, w *world) {
			stop = w.traffic(t, w.far)
			w.startClock()
			route(site.DirectorAddress)(t, w)
		},
		fix: route(routerNear), condition: sound, reason: "DirectorIsGateway",
		says: func(w *world) []string {
			return []string{"pacs-a (192.0.2.11, " + w.serverMAC(0) + ")", site.VIP, "ip route replace default"}
		},
		checkAfter: func(t *testing.T, w *world) {
			stop()
			for range 4 {
				suite.Must(t, w.ping(t.Context(), w.far, site.VIP, 7007))
			}
		},
	}
}

// marksAltered has a program on the director that sets marks of its own.
func marksAltered() item {
	var stop func()
	return item{
		name: "marks altered by another program",
		provoke: func(t *testing.T, w *world) {
			stop = w.traffic(t, w.near())
			w.startClock()
			w.onDirector(t, "printf 'table inet plugin {\nchain pre {\ntype filter hook prerouting priority dstnat;\nmeta mark set 0x4000\n}\n}\n' | nft -f -")
		},
		fix: director("nft delete table inet plugin"), condition: sound, reason: "MarksAltered",
		says: says(site.VIP+":7007", "firewall mark", "0xff000000"),
		checkAfter: func(t *testing.T, w *world) {
			stop()
			suite.Must(t, w.ping(t.Context(), w.near(), site.VIP, 7007))
		},
	}
}

// portTaken has a program of the director listen on all addresses before a service wants the port.
func portTaken() item {
	var program *lab.Process
	return item{
		name: "a program on a wildcard socket",
		provoke: func(t *testing.T, w *world) {
			var err error
			program, err = w.Director.Start(t.Context(), lab.ProcessSpec{Argv: []string{"httpd", "-f", "-p", "7307"}})
			suite.Must(t, err)
			suite.Must(t, site.Until(limited(t), "httpd", func() error {
				_, err := w.MustRun(t.Context(), w.Director, "sh", "-c", "ss -ltn | grep -q :7307")
				return err
			}))
			w.startClock()
			w.manifest(t, spec{service: "  - {name: taken, virtualIPs: [web], mode: L7SNAT, ports: [7307], serverPool: proxied, layer7: {application: TCP}}\n"})
		},
		condition: sound, reason: "PortTaken", says: says("httpd", "7307"),
		fix: func(t *testing.T, w *world) {
			suite.Must(t, program.Kill())
			<-program.Done()
		},
		checkAfter: func(t *testing.T, w *world) {
			suite.Must(t, w.ping(t.Context(), w.near(), webVIP, 7307))
			w.manifest(t, spec{})
		},
	}
}

// addressTaken has another host hold an address that the director is to take: it does not, until the
// other one is gone. The rest of the spec works meanwhile.
func addressTaken() item {
	var seen *lab.Capture
	held := "ip -o address show | grep -c 'inet " + moreVIP + "/' || true"
	one := "  - {name: more, virtualIPs: [more], mode: L7SNAT, ports: [7507], serverPool: proxied, layer7: {application: TCP}}\n"
	return item{
		name: "VIP of another host is not taken",
		provoke: func(t *testing.T, w *world) {
			w.on(t, last(w), "ip address add "+moreVIP+"/24 dev eth0")
			var err error
			seen, err = w.Director.Capture(limited(t), "eth0", "arp or icmp")
			suite.Must(t, err)
			w.startClock()
			w.manifest(t, spec{virtualIP: moreVIP, service: one})
		},
		condition: v1alpha1.ConditionProgrammed, reason: "AddressOwnedByOther",
		says: func(w *world) []string { return []string{last(w).MAC("eth0"), moreVIP, "choose another virtual IP"} },
		check: func(t *testing.T, w *world) {
			suite.Must(t, w.ping(t.Context(), w.near(), site.VIP, 7007))
			suite.Must(t, w.ping(t.Context(), w.near(), webVIP, 7107))
			if n := w.onDirector(t, held); n != "0" {
				t.Errorf("the director has the address of another host %s times", n)
			}
			frames, err := seen.Frames()
			suite.Must(t, err)
			notClaimed(t, frames, w.Director.MAC("eth0"))
		},
		fix: func(t *testing.T, w *world) { w.on(t, last(w), "ip address del "+moreVIP+"/24 dev eth0") },
		checkAfter: func(t *testing.T, w *world) {
			if n := w.onDirector(t, held); n != "1" {
				t.Errorf("the director has the free address %s times", n)
			}
			suite.Must(t, site.Until(limited(t), "the service of the address", func() error { return w.ping(t.Context(), w.near(), moreVIP, 7507) }))
			w.manifest(t, spec{})
			suite.Must(t, site.Until(limited(t), "the address is given back", func() error {
				_, err := w.MustRun(t.Context(), w.Director, "sh", "-c", "! ip -o address show | grep -q 'inet "+moreVIP+"/'")
				return err
			}))
		},
	}
}

// notClaimed fails if the director did not ask for the address, or claimed it.
func notClaimed(t *testing.T, frames []pcap.Frame, mac string) {
	t.Helper()
	questions := 0
	for _, f := range frames {
		if f.EtherType != pcap.EtherARP || f.ARPSourceMAC.String() != mac {
			continue
		}
		if f.Source.String() == moreVIP {
			t.Errorf("the director claims the address of another host: %s", f)
		}
		if f.Source.IsUnspecified() && f.Destination.String() == moreVIP {
			questions++
		}
	}
	t.Logf("the director asked for %s %d times (RFC 5227 probes) and never claimed it; %d frames", moreVIP, questions, len(frames))
	if questions == 0 {
		t.Errorf("the director did not ask for %s", moreVIP)
	}
}

// returnPathMissing has servers of mode L4NAT answer past the director. Clients are many, so that
// enough packets are lost soon.
func returnPathMissing() item {
	const clients = 8
	var stops []func()
	all := func(command string) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			for i := range 2 {
				w.onServer(t, i, command)
			}
		}
	}
	one := "  - {name: nat, virtualIPs: [web], mode: L4NAT, ports: [7407], serverPool: proxied, layer4: {scheduler: RoundRobin}}\n"
	return item{
		name: "servers of L4NAT do not answer through the director",
		provoke: func(t *testing.T, w *world) {
			stops = nil
			w.onDirector(t, "for f in all eth0; do echo 0 > /proc/sys/net/ipv4/conf/$f/send_redirects; done")
			w.manifest(t, spec{service: one})
			suite.Must(t, site.Until(limited(t), "the service", func() error {
				_, err := w.MustRun(t.Context(), w.Director, "sh", "-c", "ipvsadm -Ln | grep -c Masq | grep -q 2")
				return err
			}))
			w.startClock()
			for range clients {
				stops = append(stops, w.trafficTo(t, w.far, webVIP, 7407))
			}
		},
		condition: sound, reason: "ReturnPathMissing", says: says("pacs-a (192.0.2.11)", "pacs-b (192.0.2.12)", "role: Gateway"),
		fix: all("ip route replace default via " + site.DirectorAddress),
		checkAfter: func(t *testing.T, w *world) {
			for range 4 {
				suite.Must(t, w.ping(t.Context(), w.far, webVIP, 7407))
			}
			for _, stop := range stops {
				stop()
			}
			all("ip route replace default via "+routerNear)(t, w)
			w.manifest(t, spec{})
		},
	}
}
