package procfs

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

var ports = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// read returns all services with copies of their destinations.
func read(r io.Reader) ([]Service, Header, error) {
	var all []Service
	header, err := EachService(r, func(s *Service) error {
		one := *s
		one.Destinations = slices.Clone(s.Destinations)
		if len(one.Destinations) == 0 {
			one.Destinations = nil
		}
		all = append(all, one)
		return nil
	})
	return all, header, err
}

// TestTableOfAKernel reads what Linux 6.1 wrote of services that ipvsadm had seen to be these.
func TestTableOfAKernel(t *testing.T) {
	file, err := os.Open("testdata/ip_vs")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	all, header, err := read(file)
	if err != nil || header != (Header{1, 2, 1, 4096}) || len(all) != 22 {
		t.Fatalf("%d services, %+v, %v", len(all), header, err)
	}
	want := []Service{
		{Protocol: "UDP", Address: at("192.0.2.100:53"), Scheduler: "rr", OnePacket: true},
		{Protocol: "UDP", Address: at("192.0.2.100:5060"), Scheduler: "rr", Persistent: true, Timeout: 60 * 250, ClientMask: IPv4ClientMask(32),
			Destinations: []Destination{{Address: at("192.0.2.13:5062"), Forward: "Masq", Weight: 7}}},
		{Mark: 0x54000001, Scheduler: "wlc", Persistent: true, Timeout: 120 * 250, ClientMask: IPv6ClientMask(64),
			Destinations: []Destination{{Address: at("[2001:db8::11]:0"), Forward: "Route", Weight: 1}}},
		{Mark: 0x54000001, Scheduler: "wlc", Persistent: true, Timeout: 300 * 250, ClientMask: IPv4ClientMask(24), Destinations: []Destination{
			{Address: at("192.0.2.11:0"), Forward: "Route", Weight: 100}, {Address: at("192.0.2.12:0"), Forward: "Tunnel"},
			{Address: at("127.0.0.1:0"), Forward: "Local", Weight: 65535},
		}},
		{Protocol: "SCTP", Address: at("192.0.2.100:3868"), Scheduler: "rr"},
	}
	for i := range want {
		if !slices.ContainsFunc(all, func(s Service) bool { return s.Equal(&want[i]) }) {
			t.Errorf("%s is not among them", &want[i])
		}
	}
	if rate := Rate(300*250, 300); rate != 250 {
		t.Errorf("%d ticks a second", rate)
	}
}

// TestServicesComeBack: what the kernel's format says is read, in pieces of any size.
func TestServicesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.SliceOfN(rapid.Custom(drawService), 0, 5).Draw(t, "services")
		var b strings.Builder
		b.WriteString(heading)
		for i := range want {
			printService(&b, &want[i])
		}
		got, _, err := read(iotest.HalfReader(strings.NewReader(b.String())))
		if err != nil {
			t.Fatalf("%v in\n%s", err, b.String())
		}
		if len(got) == 0 && len(want) == 0 {
			return
		}
		if diff := cmp.Diff(want, got, ports); diff != "" {
			t.Fatalf("(-printed +read):\n%s", diff)
		}
	})
}

// TestStrictTable: whatever is not the kernel's form is an error that names the line.
func TestStrictTable(t *testing.T) {
	service := "TCP  C0000264:0068 rr  \n"
	tests := map[string]struct{ text, line string }{
		"empty":                 {"", "line 0"},
		"half a heading":        {"IP Virtual Server version 1.2.1 (size=4096)\n", "line 1"},
		"other version":         {strings.Replace(heading, "1.2.1", "1.2.1.1", 1), "line 1"},
		"version too big":       {strings.Replace(heading, "1.2.1", "256.2.1", 1), "line 1"},
		"other columns":         {strings.Replace(heading, "Weight", "Height", 1), "line 3"},
		"no end":                {heading + "TCP  C0000264:0068 rr  ", "line 4"},
		"protocol":              {heading + "GRE  C0000264:0068 rr  \n", "line 4"},
		"mark 0":                {heading + "FWM  00000000 rr \n", "line 4"},
		"small hex":             {heading + "FWM  0000000a rr \n", "line 4"},
		"more":                  {heading + "FWM  0000000A rr x\n", "line 4"},
		"no scheduler":          {heading + "FWM  0000000A  \n", "line 4"},
		"long scheduler":        {heading + "FWM  0000000A sixteencharacter \n", "line 4"},
		"mask too short":        {heading + "FWM  0000000A rr persistent 1 FFF\n", "line 4"},
		"timeout too long":      {heading + "FWM  0000000A rr persistent 2147483648 FFFFFFFF\n", "line 4"},
		"leading zero":          {heading + "FWM  0000000A rr persistent 01 FFFFFFFF\n", "line 4"},
		"destination first":     {heading + "  -> C0000264:0068      Route   1      0          0         \n", "line 4"},
		"method":                {heading + service + "  -> C0000264:0068      Fly     1      0          0         \n", "line 5"},
		"negative weight":       {heading + service + "  -> C0000264:0068      Route   -1     0          0         \n", "line 5"},
		"weight too big":        {heading + service + "  -> C0000264:0068      Route   2147483648 0          0         \n", "line 5"},
		"destination cut":       {heading + service + "  -> C0000264:0068      Route   1\n", "line 5"},
		"short group":           {heading + "TCP  [2001:db8:0000:0000:0000:0000:0000:0100]:0068 wrr \n", "line 4"},
		"ops of an IPv6 one":    {heading + "TCP  [2001:0db8:0000:0000:0000:0000:0000:0100]:0068 wrr ops \n", "line 4"},
		"line longer than ever": {heading + strings.Repeat("x", maxLine+1) + "\n", "line 4"},
		"line without end":      {heading + strings.Repeat("x", 1<<20), "line 4"},
		"NUL":                   {heading + "FWM  0000000A rr\x00 \n", "line 4"},
	}
	for name, tc := range tests {
		if _, _, err := read(strings.NewReader(tc.text)); !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tc.line+":") {
			t.Errorf("%s: %v, want %s", name, err, tc.line)
		}
	}
}

// TestNegativeConnections: the kernel's counters can be below 0 for a moment.
func TestNegativeConnections(t *testing.T) {
	all, _, err := read(strings.NewReader(heading + "FWM  00000001 rr \n  -> C0000264:0068      Route   1      -1         2         \n"))
	if err != nil || all[0].Destinations[0].Active != 0 || all[0].Destinations[0].Inactive != 2 {
		t.Errorf("%+v, %v", all, err)
	}
}

// TestTooManyDestinations: one service cannot fill the memory.
func TestTooManyDestinations(t *testing.T) {
	line := "  -> C0000264:0068      Route   1      0          0         \n"
	_, _, err := read(strings.NewReader(heading + "FWM  00000001 rr \n" + strings.Repeat(line, maxDestinations+1)))
	if !errors.Is(err, ErrFormat) {
		t.Errorf("got %v", err)
	}
}

// TestErrorsOfOthers: of the reader and of the visitor, io.EOF too, come through.
func TestErrorsOfOthers(t *testing.T) {
	broken := errors.New("broken")
	r := io.MultiReader(strings.NewReader(heading), iotest.ErrReader(broken))
	if _, _, err := read(r); !errors.Is(err, broken) {
		t.Errorf("reader: %v", err)
	}
	for _, want := range []error{broken, io.EOF} {
		text := strings.NewReader(heading + "FWM  00000001 rr \nFWM  00000002 rr \n")
		visits := 0
		if _, err := EachService(text, func(*Service) error { visits++; return want }); err != want || visits != 1 {
			t.Errorf("visitor: %v after %d", err, visits)
		}
	}
}

// TestEqualServices: connections and the order of destinations make no difference, settings do.
func TestEqualServices(t *testing.T) {
	a := Service{Mark: 1, Scheduler: "rr", Destinations: []Destination{
		{Address: at("192.0.2.1:0"), Forward: "Route", Weight: 1, Active: 5}, {Address: at("192.0.2.2:0"), Forward: "Route"},
	}}
	b := a
	b.Destinations = []Destination{{Address: at("192.0.2.2:0"), Forward: "Route", Inactive: 7}, {Address: at("192.0.2.1:0"), Forward: "Route", Weight: 1}}
	if !a.Equal(&b) {
		t.Error("not equal")
	}
	c, d, e := a, b, a
	c.Scheduler = "lc"
	d.Destinations = []Destination{b.Destinations[0], {Address: at("192.0.2.1:0"), Forward: "Route", Weight: 2}}
	e.Destinations = a.Destinations[:1]
	for name, other := range map[string]*Service{"scheduler": &c, "weight": &d, "fewer": &e} {
		if a.Equal(other) || other.Equal(&a) {
			t.Errorf("equal in spite of: %s", name)
		}
	}
}

// TestReadingAllocatesNothing for a line.
func TestReadingAllocatesNothing(t *testing.T) {
	allocations := func(n int) float64 {
		var b strings.Builder
		b.WriteString(heading)
		s := Service{Mark: 1, Scheduler: "wlc", Destinations: []Destination{{Address: at("192.0.2.1:0"), Forward: "Route"}}}
		for range n {
			printService(&b, &s)
		}
		return testing.AllocsPerRun(10, func() {
			_, _ = EachService(strings.NewReader(b.String()), func(*Service) error { return nil })
		})
	}
	if few, many := allocations(10), allocations(10_000); many > few {
		t.Errorf("%v allocations for 10 services, %v for 10,000", few, many)
	}
}

func TestPrefixLengths(t *testing.T) {
	for length := range 129 {
		if got := IPv6PrefixLength(IPv6ClientMask(length)); got != length {
			t.Errorf("IPv6 /%d comes back as /%d", length, got)
		}
		if got := IPv4PrefixLength(IPv4ClientMask(length)); got != min(length, 32) {
			t.Errorf("IPv4 /%d comes back as /%d", length, got)
		}
	}
	if got := IPv4PrefixLength(0xff00ff00); got != -1 {
		t.Errorf("a mask with holes is /%d", got)
	}
	if got := IPv4ClientMask(-1); got != 0 {
		t.Errorf("/-1 is %#x", got)
	}
	if Rate(1000, 3) != 0 || Rate(1000, 0) != 0 || Rate(3000, 3) != 1000 {
		t.Error("the rate of the clock is wrong")
	}
}
