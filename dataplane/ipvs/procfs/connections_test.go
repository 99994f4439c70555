package procfs

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func readConnections(r io.Reader) (all []Connection, err error) {
	err = EachConnection(r, func(c *Connection) error { all = append(all, *c); return nil })
	return all, err
}

// TestConnectionsOfAKernel reads what Linux 6.1 wrote of a persistent client's connection.
func TestConnectionsOfAKernel(t *testing.T) {
	file, err := os.Open("testdata/ip_vs_conn")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got, err := readConnections(file)
	want := []Connection{
		{"TCP", at("192.0.2.100:0"), at("192.0.2.100:11112"), at("192.0.2.2:11112"), "ASSURED", 298 * time.Second, ""},
		{"TCP", at("192.0.2.100:44552"), at("192.0.2.100:11112"), at("192.0.2.2:11112"), "TIME_WAIT", 118 * time.Second, ""},
	}
	if diff := cmp.Diff(want, got, ports); diff != "" || err != nil {
		t.Errorf("(-want +got), %v:\n%s", err, diff)
	}
}

// TestConnectionsComeBack: what the kernel's format says is read, of both families.
func TestConnectionsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var want []Connection
		var b strings.Builder
		b.WriteString(connectionColumns + "\n")
		for range rapid.IntRange(0, 5).Draw(t, "connections") {
			c := Connection{
				Protocol: rapid.SampledFrom([]string{"TCP", "UDP", "SCTP", "IP", "IP_47"}).Draw(t, "protocol"),
				Client:   drawPort(t), Virtual: drawPort(t), Destination: drawPort(t),
				State:   rapid.SampledFrom([]string{"NONE", "ESTABLISHED", "SHUTDOWN_ACK_SENT"[:16], "ERR!"}).Draw(t, "state"),
				Expires: time.Duration(rapid.Uint32().Draw(t, "seconds")) * time.Second,
				Engine:  rapid.StringMatching(`|[a-z]{1,15}`).Draw(t, "engine"),
			}
			printConnection(&b, &c, rapid.StringMatching(`[^\n]{0,50}`).Draw(t, "data"))
			want = append(want, c)
		}
		got, err := readConnections(strings.NewReader(b.String()))
		if diff := cmp.Diff(want, got, ports); diff != "" || err != nil {
			t.Fatalf("(-printed +read), %v:\n%s", err, diff)
		}
	})
}

// TestStrictConnections: errors name the line and keep the client's address to themselves.
func TestStrictConnections(t *testing.T) {
	good := "TCP C0000264 0000 C0000264 2B68 C0000202 2B68 ASSURED         298\n"
	for name, text := range map[string]string{
		"empty": "", "other heading": "Pro FromIP\n", "cut": connectionColumns + "\n" + good[:40] + "\n",
		"no end":       connectionColumns + "\n" + strings.TrimSpace(good),
		"small hex":    connectionColumns + "\n" + strings.ToLower(good),
		"negative":     connectionColumns + "\n" + strings.Replace(good, "298", "-298", 1),
		"too long":     connectionColumns + "\n" + strings.Replace(good, "298", "4294967296", 1),
		"half engine":  connectionColumns + "\n" + strings.Replace(good, "298", "298 sip", 1),
		"second bad":   connectionColumns + "\n" + good + "x" + good,
		"endless line": connectionColumns + "\n" + strings.Repeat(good[:60], 1000),
	} {
		if _, err := readConnections(strings.NewReader(text)); !errors.Is(err, ErrFormat) || strings.Contains(err.Error(), "C0000264") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := EachConnection(strings.NewReader(connectionColumns+"\n"+good), func(*Connection) error { return io.EOF }); err != io.EOF {
		t.Errorf("the visitor's error is %v", err)
	}
}

// TestConnectionsAllocateNothing for a line.
func TestConnectionsAllocateNothing(t *testing.T) {
	allocations := func(n int) float64 {
		text := connectionColumns + "\n" + strings.Repeat("TCP C0000264 AE08 C0000264 2B68 C0000202 2B68 TIME_WAIT       118\n", n)
		return testing.AllocsPerRun(10, func() {
			_ = EachConnection(strings.NewReader(text), func(*Connection) error { return nil })
		})
	}
	if few, many := allocations(10), allocations(10_000); many > few {
		t.Errorf("%v allocations for 10 connections, %v for 10,000", few, many)
	}
}

func TestTemplates(t *testing.T) {
	at := netip.MustParseAddrPort
	tests := map[string]struct {
		c        Connection
		template bool
		mark     uint32
	}{
		"connection":            {Connection{Protocol: "TCP", Client: at("192.0.2.9:40000"), Virtual: at("192.0.2.100:104"), State: "ESTABLISHED"}, false, 0},
		"template by address":   {Connection{Protocol: "TCP", Client: at("192.0.2.0:0"), Virtual: at("192.0.2.100:104"), State: "ASSURED"}, true, 0},
		"template by mark":      {Connection{Protocol: "IP", Client: at("192.0.2.0:0"), Virtual: at("84.0.0.1:0"), State: "NONE"}, true, 0x54000001},
		"template by mark, six": {Connection{Protocol: "IP", Client: at("[2001:db8::]:0"), Virtual: at("[5400:2::]:0"), State: "ASSURED"}, true, 0x54000002},
		"client's port 0":       {Connection{Protocol: "UDP", Client: at("192.0.2.9:0"), Virtual: at("192.0.2.100:53"), State: "UDP"}, false, 0},
		"nothing":               {Connection{}, false, 0},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := tc.c.Template(); got != tc.template {
				t.Errorf("template: %t", got)
			}
			if got := tc.c.Mark(); got != tc.mark {
				t.Errorf("mark %#x, want %#x", got, tc.mark)
			}
		})
	}
}
