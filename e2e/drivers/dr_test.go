package drivers_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/e2e/lab"
)

const virtualIP = "192.0.2.100"

// TestDirectRouting has a director in a machine and two real servers in namespaces, all made by
// the drivers, and a client that uses them.
func TestDirectRouting(t *testing.T) {
	t.Parallel()
	program := buildTest(t, programs["inside"])
	l := newLab(t)
	lan, err := l.Network("lan")
	if err != nil {
		t.Fatal(err)
	}
	director := newDirector(t, l, lan, program)
	client := newNamespace(t, l, lan, "client", "192.0.2.50")
	servers := map[string]*lab.Namespace{
		"pacs-a": newServer(t, l, lan, program, "pacs-a", "192.0.2.11"),
		"pacs-b": newServer(t, l, lan, program, "pacs-b", "192.0.2.12"),
	}
	apply(t, director, model.Node{VirtualIPs: vips(), Services: []model.VirtualService{dicom(100, 100)}})

	first := ask(t, client, "104")
	t.Run("client keeps its server on all ports", func(t *testing.T) {
		for _, port := range []string{"104", "11112", "104", "11112"} {
			if got := ask(t, client, port); got != first {
				t.Errorf("port %s is answered by %q, the first was by %q", port, got, first)
			}
		}
	})
	t.Run("server sees the client's address", func(t *testing.T) {
		if !strings.HasSuffix(first, " 192.0.2.50") {
			t.Errorf("the answer is %q", first)
		}
	})
	t.Run("only the director answers ARP", func(t *testing.T) {
		run(t, client, "ip", "neigh", "flush", "to", virtualIP)
		ask(t, client, "104")
		if got := run(t, client, "ip", "neigh", "show", virtualIP); !strings.Contains(got, director.MAC("eth0")) {
			t.Errorf("the client's neighbour is %q, the director is %s", got, director.MAC("eth0"))
		}
	})
	t.Run("drained server loses its persistent client", func(t *testing.T) {
		weights := map[string]model.VirtualService{"pacs-a": dicom(0, 100), "pacs-b": dicom(100, 0)}
		apply(t, director, model.Node{VirtualIPs: vips(), Services: []model.VirtualService{weights[strings.Fields(first)[0]]}})
		if got := ask(t, client, "104"); strings.Fields(got)[0] == strings.Fields(first)[0] {
			t.Errorf("the drained server answers: %q", got)
		}
	})
	t.Run("connections outlive states of the kernel", func(t *testing.T) { checkConnectionsOutliveStates(t, director, client, servers) })
	t.Run("round robin without persistence", func(t *testing.T) { checkRoundRobin(t, director, client) })
	t.Run("nothing is left", func(t *testing.T) { checkNothingLeft(t, director, servers) })
}

// apply makes a host what the node says, with all drivers.
func apply(t *testing.T, h lab.Host, node model.Node) {
	t.Helper()
	b, err := json.Marshal(node)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Put(t.Context(), "/tmp/node.json", bytes.NewReader(b), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, h, "env", "NODE=/tmp/node.json", "RECORD=/tmp/record.json", "/tmp/inside", "-test.run=^TestApply$", "-test.timeout=5m")
}

// run runs a command that has to succeed and returns its output.
func run(t *testing.T, h lab.Host, argv ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	result, err := h.Run(ctx, argv...)
	if err != nil {
		t.Fatal(err)
	}
	if result.ExitCode != 0 {
		t.Fatalf("%s: %v: exit %d: %s%s", h.Name(), argv, result.ExitCode, result.Stdout, result.Stderr)
	}
	return result.Stdout
}

// ask connects to the virtual IP and returns what the server says of itself and the client.
func ask(t *testing.T, client lab.Host, port string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	conn, err := client.Dial(ctx, "tcp4", net.JoinHostPort(virtualIP, port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

func checkRoundRobin(t *testing.T, director *lab.Machine, client lab.Host) {
	s := dicom(1, 1)
	s.Scheduler, s.Persistence = model.RoundRobin, nil
	apply(t, director, model.Node{VirtualIPs: vips(), Services: []model.VirtualService{s}})
	answers := map[string]int{}
	for range 8 {
		answers[ask(t, client, "104")]++
	}
	if len(answers) != 2 || answers["pacs-a 192.0.2.50"] != 4 {
		t.Errorf("8 connections were answered by %v", answers)
	}
}

func checkNothingLeft(t *testing.T, director *lab.Machine, servers map[string]*lab.Namespace) {
	apply(t, director, model.Node{})
	for command, unwanted := range map[string]string{
		"ip addr": virtualIP, "ipvsadm -S -n": "-A", "nft list ruleset": "truepacs",
	} {
		if got := run(t, director, strings.Fields(command)...); strings.Contains(got, unwanted) {
			t.Errorf("%s on the director still shows:\n%s", command, got)
		}
	}
	for name, server := range servers {
		apply(t, server, model.Node{})
		if got := run(t, server, "ip", "addr", "show", "dev", "lo"); strings.Contains(got, virtualIP) {
			t.Errorf("lo of %s still has the address:\n%s", name, got)
		}
		if got := run(t, server, "cat", "/proc/sys/net/ipv4/conf/eth0/arp_ignore", "/proc/sys/net/ipv4/conf/eth0/arp_announce"); got != "0\n0\n" {
			t.Errorf("settings of %s are %q", name, got)
		}
	}
}

func vips() []model.VirtualIP {
	return []model.VirtualIP{{Key: "imaging/radiology/main", Address: netip.MustParseAddr(virtualIP), Interface: "eth0"}}
}

func dicom(weightA, weightB int) model.VirtualService {
	return model.VirtualService{
		Key: "imaging/radiology/dicom", Mark: 0x54000001, Addresses: []netip.Addr{netip.MustParseAddr(virtualIP)},
		Protocol: model.TCP, Ports: []uint16{104, 11112}, Forwarding: model.DirectRouting, Scheduler: model.WeightedLeastConnection,
		Persistence: &model.Persistence{Timeout: 300 * time.Second, PrefixLength: 32},
		Servers: []model.RealServer{
			{Name: "pacs-a", Address: netip.MustParseAddr("192.0.2.11"), Weight: weightA},
			{Name: "pacs-b", Address: netip.MustParseAddr("192.0.2.12"), Weight: weightB},
		},
	}
}

func newDirector(t *testing.T, l *lab.Lab, lan *lab.Network, program string) *lab.Machine {
	t.Helper()
	m, err := l.Machine("lb1", lab.MachineSpec{
		NICs:  []lab.NIC{{Network: lan, Addresses: lab.Prefixes("192.0.2.2/24")}},
		Tools: []string{"ip", "ipvsadm", "nft"},
	})
	if err != nil {
		t.Fatal(err)
	}
	putProgram(t, m, program)
	return m
}

func newNamespace(t *testing.T, l *lab.Lab, lan *lab.Network, name, address string) *lab.Namespace {
	t.Helper()
	h, err := l.Namespace(name, lab.NIC{Network: lan, Addresses: lab.Prefixes(address + "/24")})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// newServer is a real server made by the driver that tells its name and the client's address.
func newServer(t *testing.T, l *lab.Lab, lan *lab.Network, program, name, address string) *lab.Namespace {
	t.Helper()
	h := newNamespace(t, l, lan, name, address)
	putProgram(t, h, program)
	vip := model.LoopbackVIP{Address: netip.MustParseAddr(virtualIP), Interface: "eth0"}
	apply(t, h, model.Node{RealServer: []model.LoopbackVIP{vip}})
	for _, port := range []string{"104", "11112"} {
		err := h.Serve(t.Context(), "tcp4", virtualIP+":"+port, func(conn net.Conn) {
			from := netip.MustParseAddrPort(conn.RemoteAddr().String())
			_, _ = io.WriteString(conn, name+" "+from.Addr().String())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return h
}

func putProgram(t *testing.T, h lab.Host, program string) {
	t.Helper()
	file, err := os.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := h.Put(t.Context(), "/tmp/inside", file, 0o755); err != nil {
		t.Fatal(err)
	}
}
