package cmd

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/nft"
	"github.com/truepacs/balancer/internal/inspect"
)

// director answers at a socket like a running agent with one service, in fakes of the kernel.
func director(t *testing.T) (runDir string) {
	t.Helper()
	vip, a, b := netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.12")
	node := model.Node{VirtualIPs: []model.VirtualIP{{Address: vip}}, Services: []model.VirtualService{{
		Key: "pacs/radiology/dicom", Mark: 0x54000001, Addresses: []netip.Addr{vip}, Protocol: model.TCP, Ports: []uint16{104},
		Forwarding: model.DirectRouting, Scheduler: model.WeightedRoundRobin,
		Servers: []model.RealServer{{Name: "pacs-a", Address: a, Weight: 3}, {Name: "pacs-b", Address: b, Weight: 1}},
	}}}
	kernel := &ipvs.Fake{}
	driver := ipvs.New(ipvs.Config{Kernel: kernel})
	if err := driver.Set(t.Context(), node.Services); err != nil {
		t.Fatal(err)
	}
	kernel.SetFigures(0x54000001, a, 2, 1, genl.Stats{Connections: 7, PacketsIn: 70, BytesIn: 700})
	kernel.SetConnections(procfs.Connection{
		Protocol: "TCP", Client: netip.MustParseAddrPort("198.51.100.7:40000"), Virtual: netip.AddrPortFrom(vip, 104),
		Destination: netip.AddrPortFrom(b, 104), State: "ESTABLISHED", Expires: time.Minute,
	})
	filter := &nft.Fake{CountedPorts: []nft.PortCounter{{Mark: 0x54000001, Address: vip, Protocol: model.TCP, First: 104, Last: 104, Packets: 71, Bytes: 710}}}
	source := &inspect.Source{
		Observed:      func() agent.Observed { return agent.Observed{Revision: 1, Node: node} },
		VirtualServer: driver, PacketFilter: nft.New(nft.Config{Kernel: filter}),
	}
	mux := http.NewServeMux()
	source.Register(mux)
	runDir = t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- inspect.Serve(ctx, runDir, mux) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	for _, err := os.Stat(inspect.SocketPath(runDir)); err != nil; _, err = os.Stat(inspect.SocketPath(runDir)) {
		time.Sleep(time.Millisecond)
	}
	return runDir
}

func call(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	status = Main(t.Context(), args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestTrafficCommands(t *testing.T) {
	dir := director(t)
	for name, tc := range map[string]struct {
		args string
		want string
	}{
		"explain": {"explain --client 198.51.100.7:40000 --to 192.0.2.100:104", `client    198.51.100.7:40000 to 192.0.2.100:104 TCP
service   dicom of balancer pacs/radiology, L4DR, wrr
server    pacs-b 192.0.2.12:104
because   a connection of this client's port is there in state ESTABLISHED for 60 seconds more, and goes to pacs-b
`},
		"explain without a connection": {"explain --client 198.51.100.8 --to 192.0.2.100:104", `client    198.51.100.8 to 192.0.2.100:104 TCP
service   dicom of balancer pacs/radiology, L4DR, wrr
one of    pacs-b 192.0.2.12:104, 25 %
one of    pacs-a 192.0.2.11:104, 75 %
because   the servers take turns, and the kernel does not show whose it is: the choice cannot be foretold
`},
		"explain nobody": {"explain --client 198.51.100.8 --to 192.0.2.101:104", `client    198.51.100.8 to 192.0.2.101:104 TCP
server    none (Elsewhere)
because   192.0.2.101 is no virtual IP that this host holds: ask on the director that status names, or write the address of a virtual IP
`},
		"connections": {"connections", `PROT SERVICE                        CLIENT                     VIRTUAL                    SERVER                         STATE        EXPIRES
TCP  pacs/radiology/dicom           198.51.100.7:40000         192.0.2.100:104            pacs-b 192.0.2.12:104          ESTABLISHED  60s
`},
		"connections of nobody": {"connections --server pacs-a", "no connections\n"},
		"connections as JSON": {"connections -o json", `[
 {"service":"pacs/radiology/dicom","server":"pacs-b","protocol":"TCP","client":"198.51.100.7:40000","virtual":"192.0.2.100:104","to":"192.0.2.12:104","state":"ESTABLISHED","expiresSeconds":60}
]
`},
		"no connections as JSON": {"connections -o json --client 192.0.2.1", "[]\n"},
	} {
		t.Run(name, func(t *testing.T) {
			status, stdout, stderr := call(t, append(strings.Fields(tc.args), "--run-dir", dir)...)
			if diff := cmp.Diff(tc.want, stdout); diff != "" || status != 0 || stderr != "" {
				t.Errorf("status %d, %s\n-want +got:\n%s", status, stderr, diff)
			}
		})
	}
}

// TestStats: columns are as wide as they need to be, so only words are compared.
func TestStats(t *testing.T) {
	status, stdout, stderr := call(t, "stats", "--interval", "0", "--run-dir", director(t))
	var got []string
	for line := range strings.Lines(stdout) {
		got = append(got, strings.Join(strings.Fields(line), " "))
	}
	want := []string{
		"NAME ACTIVE INACTIVE CONNECTIONS /s PACKETS IN /s BYTES IN /s BYTES OUT /s",
		"pacs/radiology/dicom IPv4 2 1 0 - 0 - 0 - 0 -",
		"192.0.2.100 TCP port 104 71 - 710 -",
		"pacs-a 192.0.2.11 weight 3 2 1 7 - 70 - 700 - 0 -",
		"pacs-b 192.0.2.12 weight 1 0 0 0 - 0 - 0 - 0 -",
		"dropped at ports nobody declares 0",
	}
	if diff := cmp.Diff(want, got); diff != "" || status != 0 {
		t.Errorf("status %d %s -want +got:\n%s", status, stderr, diff)
	}
}

func TestTrafficCommandsRefuse(t *testing.T) {
	for name, tc := range map[string]struct{ args, says string }{
		"no question":         {"explain", "--clients-file"},
		"a client":            {"explain --client x --to 192.0.2.100:104", `client "x"`},
		"an output":           {"explain --client 192.0.2.1 --to 192.0.2.100:104 -o yaml", "write text or json"},
		"nobody runs":         {"explain --client 192.0.2.1 --to 192.0.2.100:104 --run-dir /nonexistent", "call this as root"},
		"a file":              {"explain --clients-file /nonexistent", "--clients-file"},
		"a network":           {"connections --client 192.0.2.0/33", "ADDRESS/LENGTH"},
		"a limit":             {"connections --limit -1", "from 0 on"},
		"an output of a list": {"connections -o text", "write table or json"},
		"an interval":         {"stats --interval 100ms", "2s or more"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, stderr := call(t, strings.Fields(tc.args)...)
			if status != 1 || !strings.Contains(stderr, tc.says) {
				t.Errorf("status %d: %s", status, stderr)
			}
		})
	}
}

// TestManyQuestions: a line each, what a line lacks is as the flags say.
func TestManyQuestions(t *testing.T) {
	dir := director(t)
	file := filepath.Join(t.TempDir(), "clients")
	if err := os.WriteFile(file, []byte("198.51.100.7:40000\n\n198.51.100.8 192.0.2.100:105 UDP\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	status, stdout, stderr := call(t, "explain", "--clients-file", file, "--to", "192.0.2.100:104", "-o", "json", "--run-dir", dir)
	var got []string
	for line := range strings.Lines(stdout) {
		var a struct{ Outcome, To, Protocol string }
		if err := json.Unmarshal([]byte(line), &a); err != nil {
			t.Fatal(err)
		}
		got = append(got, a.Outcome+" "+a.To+" "+a.Protocol)
	}
	want := []string{"Server 192.0.2.100:104 TCP", "Dropped 192.0.2.100:105 UDP"}
	if diff := cmp.Diff(want, got); diff != "" || status != 0 {
		t.Errorf("status %d %s -want +got:\n%s", status, stderr, diff)
	}
}
