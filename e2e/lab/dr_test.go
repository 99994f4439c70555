package lab_test

import (
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/lab/pcap"
)

const (
	vip            = "192.0.2.100"
	clientAddress  = "192.0.2.50"
	requestsToSend = 8
)

// TestDirectRouting programmes direct routing by hand, so that what the lab shows
// rests on nothing of the product: a director with IPVS, two servers that hold the
// VIP without answering ARP for it, a client.
func TestDirectRouting(t *testing.T) {
	l := newLab(t)
	lan := network(t, l)
	director := machine(t, l, "lb1", lab.MachineSpec{
		NICs:  []lab.NIC{{Network: lan, Addresses: lab.Prefixes("192.0.2.2/24")}},
		Tools: []string{"ip", "ipvsadm", "nft"},
	})
	client := namespace(t, l, "client", lab.NIC{Network: lan, Addresses: lab.Prefixes(clientAddress + "/24")})
	servers := []*lab.Namespace{realServer(t, l, lan, "pacs-a", "192.0.2.11"), realServer(t, l, lan, "pacs-b", "192.0.2.12")}
	script := `set -e
ip addr add ` + vip + `/32 dev lo
nft add table ip dr
nft add chain ip dr pre '{ type filter hook prerouting priority mangle; }'
nft add rule ip dr pre ip daddr ` + vip + ` tcp dport 104 meta mark set 0x104
ipvsadm -A -f 260 -s rr
ipvsadm -a -f 260 -r 192.0.2.11 -g
ipvsadm -a -f 260 -r 192.0.2.12 -g`
	run(t, director, "sh", "-c", script)

	atDirector := capture(t, director, "tcp port 104")
	atServers := []*lab.Capture{capture(t, servers[0], "tcp port 104"), capture(t, servers[1], "tcp port 104")}
	answers := make(map[string]int)
	for range requestsToSend {
		answers[ask(t, client)]++
	}
	if answers["pacs-a"] != requestsToSend/2 || answers["pacs-b"] != requestsToSend/2 {
		t.Errorf("%d requests were answered by %v", requestsToSend, answers)
	}
	for i, c := range atServers {
		checkServer(t, servers[i], frames(t, c), director.MAC("eth0"))
	}
	checkDirector(t, frames(t, atDirector), client.MAC("eth0"))
}

// realServer is a host that accepts the VIP, does not answer ARP for it, and tells
// its name to who connects.
func realServer(t *testing.T, l *lab.Lab, lan *lab.Network, name, address string) *lab.Namespace {
	t.Helper()
	h := namespace(t, l, name, lab.NIC{Network: lan, Addresses: lab.Prefixes(address + "/24")})
	run(t, h, "sh", "-ec", `cd /proc/sys/net/ipv4/conf/all; echo 1 > arp_ignore; echo 2 > arp_announce; ip addr add `+vip+`/32 dev lo`)
	if err := h.Serve(t.Context(), "tcp4", vip+":104", func(conn net.Conn) { _, _ = io.WriteString(conn, name) }); err != nil {
		t.Fatal(err)
	}
	return h
}

func capture(t *testing.T, h lab.Host, filter string) *lab.Capture {
	t.Helper()
	c, err := h.Capture(t.Context(), "eth0", filter)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func frames(t *testing.T, c *lab.Capture) []pcap.Frame {
	t.Helper()
	got, err := c.Frames()
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func ask(t *testing.T, client *lab.Namespace) string {
	t.Helper()
	conn, err := client.Dial(t.Context(), "tcp4", vip+":104")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(answer))
}

// checkServer: requests come from the client's address by the director's hand.
func checkServer(t *testing.T, server *lab.Namespace, got []pcap.Frame, directorMAC string) {
	t.Helper()
	requests := 0
	for _, f := range got {
		if f.DestinationPort != 104 {
			continue
		}
		requests++
		if f.Source != netip.MustParseAddr(clientAddress) || f.Destination != netip.MustParseAddr(vip) || f.SourceMAC.String() != directorMAC {
			t.Errorf("%s got %s", server.Name(), f)
		}
	}
	if requests == 0 {
		t.Errorf("the capture at %s shows no request", server.Name())
	}
}

// checkDirector: it gets requests and passes them on; no reply crosses it.
func checkDirector(t *testing.T, got []pcap.Frame, clientMAC string) {
	t.Helper()
	in, out := 0, 0
	for _, f := range got {
		switch {
		case f.SourcePort == 104:
			t.Errorf("a reply crossed the director: %s", f)
		case f.SourceMAC.String() == clientMAC:
			in++
		default:
			out++
		}
	}
	if in == 0 || in != out {
		t.Errorf("the director got %d request frames and passed %d on", in, out)
	}
	t.Logf("director: %d request frames in, %d out, no reply", in, out)
}
