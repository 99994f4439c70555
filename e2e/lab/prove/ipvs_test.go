package prove_test

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/lab"
)

// markTable marks what comes for the VIP by a map with a concatenated key.
const markTable = `table ip marking {
  map services { type ipv4_addr . inet_proto . inet_service : mark; elements = { ` + vip + ` . tcp . 104 : 0x540001, ` + vip + ` . tcp . 11112 : 0x540001 }; }
  chain pre { type filter hook prerouting priority mangle; policy accept; meta mark set ip daddr . ip protocol . th dport map @services; }
}`

// TestProveMarkedService: a firewall-mark service fed by an nftables map directs
// traffic to a VIP that is a local /32, with forwarding off, all with CAP_NET_ADMIN
// alone; one service holds several ports, other ports stay the director's own.
func TestProveMarkedService(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"pacs-a", "pacs-b"} {
		address := map[string]string{"pacs-a": "192.0.2.11", "pacs-b": "192.0.2.12"}[name]
		server, err := w.lab.Namespace(name, lab.NIC{Network: w.lan, Addresses: lab.Prefixes(address + "/24")})
		must(t, err)
		run(t, server, "sh", "-ec", "cd /proc/sys/net/ipv4/conf/all; echo 1 > arp_ignore; echo 2 > arp_announce; ip addr add "+vip+"/32 dev lo")
		for _, port := range []int{104, 11112, 7} {
			tellName(t, server, port)
		}
	}
	for _, command := range [][]string{
		{"ip", "addr", "add", vip + "/32", "dev", nic}, {"nft", markTable}, {"ipvsadm", "-A", "-f", "5505025", "-s", "rr"},
		{"ipvsadm", "-a", "-f", "5505025", "-r", "192.0.2.11", "-g"}, {"ipvsadm", "-a", "-f", "5505025", "-r", "192.0.2.12", "-g"},
	} {
		run(t, w.director, with(onlyNetAdmin, command...)...)
	}
	if got := run(t, w.director, "cat", "/proc/sys/net/ipv4/ip_forward"); got != "0\n" {
		t.Fatalf("ip_forward is %s", got)
	}
	const rounds = 40
	answers := make(map[string]int)
	for i := range rounds {
		answers[askName(t, w.client, []int{104, 11112}[i%2])]++
	}
	if answers["pacs-a"]+answers["pacs-b"] != rounds || answers["pacs-a"] == 0 || answers["pacs-b"] == 0 {
		t.Errorf("answers: %v", answers)
	}
	if conn, err := w.client.Dial(t.Context(), "tcp4", vip+":7"); err == nil {
		_ = conn.Close()
		t.Error("a port without service was directed")
	}
	verdict(t, rounds, "mark from a map, VIP as local /32, ip_forward=0: %v", answers)
}

func tellName(t *testing.T, server *lab.Namespace, port int) {
	t.Helper()
	must(t, server.Serve(t.Context(), "tcp4", fmt.Sprintf("%s:%d", vip, port), func(conn net.Conn) { _, _ = io.WriteString(conn, server.Name()) }))
}

func askName(t *testing.T, client *lab.Namespace, port int) string {
	t.Helper()
	conn, err := client.Dial(t.Context(), "tcp4", fmt.Sprintf("%s:%d", vip, port))
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	answer, err := io.ReadAll(conn)
	must(t, err)
	return string(answer)
}

// TestProveIPVSSettings: expire_quiescent_template and expire_nodest_conn exist in
// /proc/sys/net/ipv4/vs alone and are written with CAP_NET_ADMIN as any user, given
// a mount that is not read-only: the container's own is, the host's at another place
// is not.
func TestProveIPVSSettings(t *testing.T) {
	w := newWorld(t)
	run(t, w.director, "probe", "family", "IPVS")
	run(t, w.director, "sh", "-c", "mkdir -p /host/net && mount --bind /proc/sys/net /host/net")
	set := func(root, key string) []string { return []string{"sh", "-c", "echo 1 > " + root + "/ipv4/vs/" + key} }
	samples := 0
	for _, key := range []string{"expire_quiescent_template", "expire_nodest_conn", "sloppy_tcp", "conn_reuse_mode"} {
		cases := map[string]struct {
			argv []string
			want bool
		}{
			"own /proc/sys, read-only": {unprivilegedContainer(onlyNetAdmin, set("/proc/sys/net", key)...), false},
			"host's, root":             {unprivilegedContainer(onlyNetAdmin, set("/host/net", key)...), true},
			"host's, nobody":           {unprivilegedContainer(nobodyNetAdmin, set("/host/net", key)...), true},
			"host's, no capability":    {unprivilegedContainer(nobody, set("/host/net", key)...), false},
		}
		for name, tc := range cases {
			samples++
			run(t, w.director, "sh", "-c", "echo 0 > /proc/sys/net/ipv4/vs/"+key)
			output, status := try(t, w.director, tc.argv...)
			value := strings.TrimSpace(run(t, w.director, "cat", "/proc/sys/net/ipv4/vs/"+key))
			if (status == 0) != tc.want || (value == "1") != tc.want {
				t.Errorf("%s, %s: exit %d, value %s: %s", key, name, status, value, output)
			}
		}
	}
	verdict(t, samples, "net.ipv4.vs.* is written with CAP_NET_ADMIN alone, as root or nobody, through a writable mount")
}
