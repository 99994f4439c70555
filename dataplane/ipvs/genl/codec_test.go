package genl

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func drawAddress(t *rapid.T, six bool) netip.Addr {
	if !six {
		return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "IPv4")))
	}
	return netip.AddrFrom16([16]byte(append([]byte{0x20}, rapid.SliceOfN(rapid.Byte(), 15, 15).Draw(t, "IPv6")...)))
}

func drawPort(t *rapid.T, six bool) netip.AddrPort {
	return netip.AddrPortFrom(drawAddress(t, six), rapid.Uint16().Draw(t, "port"))
}

func drawID(t *rapid.T) ServiceID {
	six := rapid.Bool().Draw(t, "six")
	if rapid.Bool().Draw(t, "by mark") {
		return ByMark(rapid.Uint32Min(1).Draw(t, "mark"), six)
	}
	return ByAddress(rapid.SampledFrom([]Protocol{TCP, UDP, SCTP}).Draw(t, "protocol"), drawPort(t, six))
}

func drawService(t *rapid.T) Service {
	s := Service{
		ServiceID:      drawID(t),
		Scheduler:      rapid.StringMatching(`[!-~]{1,15}`).Draw(t, "scheduler"),
		Engine:         rapid.StringMatching(`|[!-~]{1,15}`).Draw(t, "engine"),
		Flags:          Flags(rapid.Uint32().Draw(t, "flags")) &^ flagHashed,
		TimeoutSeconds: rapid.Uint32Max(MaxTimeoutSeconds).Draw(t, "timeout"),
		PrefixLength:   rapid.IntRange(0, 32).Draw(t, "prefix"),
	}
	if s.Is6() {
		s.PrefixLength = rapid.IntRange(1, 128).Draw(t, "prefix6")
	}
	return s
}

func drawDestination(t *rapid.T) Destination {
	upper := rapid.Uint32().Draw(t, "upper")
	return Destination{
		Address:        drawPort(t, rapid.Bool().Draw(t, "six")),
		Forward:        Forward(rapid.Uint8Max(uint8(Bypass)).Draw(t, "forward")),
		Weight:         rapid.IntRange(0, 1<<31-1).Draw(t, "weight"),
		UpperThreshold: upper, LowerThreshold: rapid.Uint32Max(upper).Draw(t, "lower"),
		Tunnel: TunnelSettings{
			Type: TunnelType(rapid.Uint8().Draw(t, "type")), Port: rapid.Uint16().Draw(t, "tunnel port"),
			Flags: TunnelFlags(rapid.Uint16().Draw(t, "tunnel flags")),
		},
	}
}

// TestValuesComeBack: what is written is what is read, as far as a write sets it.
func TestValuesComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		change := Change{Command: NewService, Service: drawService(t), Destination: drawDestination(t)}
		if err := errors.Join(change.check(), change.Destination.check()); err != nil {
			t.Fatal(err)
		}
		s, err := decodeService(appendService(nil, &change.Service, true))
		if diff := cmp.Diff(change.Service, s, ports); diff != "" || err != nil {
			t.Fatalf("service (-written +read), %v:\n%s", err, diff)
		}
		d, err := decodeDestination(appendDestination(nil, &change.Destination, true), 0)
		if diff := cmp.Diff(change.Destination, d, ports); diff != "" || err != nil {
			t.Fatalf("destination (-written +read), %v:\n%s", err, diff)
		}
		if !s.Equal(change.Service) || !d.Equal(change.Destination) || s.String() != change.Service.String() || d.String() != change.Destination.String() {
			t.Fatal("Equal or String tell apart what is the same")
		}
	})
}

var ports = cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })

func TestDaemonsComeBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := Daemon{
			Role: rapid.SampledFrom([]Role{Master, Backup}).Draw(t, "role"), Interface: rapid.StringMatching(`[!-~]{1,15}`).Draw(t, "interface"),
			SyncID: rapid.Uint32Max(255).Draw(t, "ID"), MaxLength: rapid.Uint16().Draw(t, "length"),
			Port: rapid.Uint16().Draw(t, "port"), TTL: rapid.Uint8().Draw(t, "TTL"),
		}
		if rapid.Bool().Draw(t, "group") {
			d.Group = netip.MustParseAddr(rapid.SampledFrom([]string{"224.0.0.81", "ff02::81"}).Draw(t, "address"))
		}
		if err := d.check(); err != nil {
			t.Fatal(err)
		}
		if got, err := decodeDaemon(appendDaemon(nil, &d)); got != d || err != nil {
			t.Fatalf("%v, want %v, %v", got, d, err)
		}
	})
}

// counters appends a nest of counters of 64 or 32 bits as the kernel does, with padding.
func counters(b []byte, kind uint16, wide bool) []byte {
	start, b := nest(b, kind)
	for i := uint16(statsConnections); i <= statsLast; i++ {
		if wide || i == 4 || i == 5 {
			b = attribute(b, statsPad)
			b = attribute(b, i, binary.NativeEndian.AppendUint64(nil, uint64(i)<<40)...)
		} else {
			b = attribute32(b, i, uint32(i))
		}
	}
	return unnest(b, start)
}

// TestCounters: those of 64 bits are taken where there are any, in whatever order they come.
func TestCounters(t *testing.T) {
	s := marked(1)
	wide := Stats{1 << 40, 2 << 40, 3 << 40, 4 << 40, 5 << 40, 6 << 40, 7 << 40, 8 << 40, 9 << 40, 10 << 40}
	narrow := Stats{1, 2, 3, 4 << 40, 5 << 40, 6, 7, 8, 9, 10}
	for name, tc := range map[string]struct {
		wide []bool // nests in their order
		want Stats
	}{
		"both": {[]bool{false, true}, wide}, "other order": {[]bool{true, false}, wide}, "old kernel": {[]bool{false}, narrow}, "none": {nil, Stats{}},
	} {
		start, b := nest(nil, attrService)
		inner, _ := nested(appendService(nil, &s, true), attrService)
		b = append(b, inner...)
		for _, w := range tc.wide {
			b = counters(b, map[bool]uint16{false: svcStats, true: svcStats64}[w], w)
		}
		got, err := decodeService(unnest(b, start))
		if got.Stats != tc.want || err != nil {
			t.Errorf("%s: %+v, want %+v, %v", name, got.Stats, tc.want, err)
		}
	}
}

// TestKernelsFlagIsMasked: the kernel adds IP_VS_SVC_F_HASHED to everything.
func TestKernelsFlagIsMasked(t *testing.T) {
	s := marked(1)
	b := appendService(nil, &s, true)
	for i := 0; i+12 <= len(b); i += 4 {
		if binary.NativeEndian.Uint16(b[i:]) == 12 && binary.NativeEndian.Uint16(b[i+2:]) == svcFlags {
			b[i+4] |= flagHashed
		}
	}
	if got, err := decodeService(b); got.Flags != 0 || err != nil {
		t.Errorf("flags %s, %v", got.Flags, err)
	}
}

// TestStatus: the end of a dump may carry a count, an acknowledgement only 0 or an error.
func TestStatus(t *testing.T) {
	body := func(code int32) []byte { return binary.NativeEndian.AppendUint32(nil, uint32(code)) }
	tests := map[string]struct {
		m    message
		want unix.Errno
		bad  bool
	}{
		"acknowledgement":        {m: message{kind: unix.NLMSG_ERROR, body: body(0)}},
		"refusal":                {m: message{kind: unix.NLMSG_ERROR, body: body(-17)}, want: unix.EEXIST},
		"positive":               {m: message{kind: unix.NLMSG_ERROR, body: body(17)}, bad: true},
		"beyond all errors":      {m: message{kind: unix.NLMSG_ERROR, body: body(-4096)}, bad: true},
		"short":                  {m: message{kind: unix.NLMSG_ERROR, body: []byte{0, 0}}, bad: true},
		"end":                    {m: message{kind: unix.NLMSG_DONE, body: body(0)}},
		"end with a count":       {m: message{kind: unix.NLMSG_DONE, body: body(99)}},
		"end of an old kernel's": {m: message{kind: unix.NLMSG_DONE}},
		"end with an error":      {m: message{kind: unix.NLMSG_DONE, body: body(-1)}, want: unix.EPERM},
	}
	for name, tc := range tests {
		if got, _, err := tc.m.status(); got != tc.want || tc.bad != errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

// TestMasks: those with holes are told apart from those of a length.
func TestMasks(t *testing.T) {
	for length := range 33 {
		var a attributes
		if got := a.prefixLength(netmask(length, false), false); got != length {
			t.Errorf("/%d comes back as /%d", length, got)
		}
	}
	var a attributes
	if got := a.prefixLength(netmask(24, false)&^1, false); got != MaskWithHoles {
		t.Errorf("a mask with holes is /%d", got)
	}
	if a.prefixLength(129, true); a.fault == nil {
		t.Error("an IPv6 prefix of 129 bits is taken")
	}
}

// TestStrictness: each fault of an answer is an error.
func TestStrictness(t *testing.T) {
	s := Service{ServiceID: ByAddress(TCP, mustPort("192.0.2.1:80")), Scheduler: "rr", PrefixLength: 32}
	inner, err := nested(appendService(nil, &s, true), attrService)
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(b []byte) []byte {
		start, out := nest(nil, attrService)
		return unnest(append(out, b...), start)
	}
	without := func(kind uint16) (b []byte) {
		a := attributes{rest: inner}
		for k, value, ok := a.next(0); ok; k, value, ok = a.next(0) {
			if k != kind {
				b = attribute(b, k, value...)
			}
		}
		return b
	}
	bad := map[string][]byte{
		"nothing": nil, "no service": attribute32(nil, attrDest, 0), "cut": wrap(inner)[:20], "three bytes": {1, 0, 0},
		"length of three": {3, 0, 1, 0}, "twice": wrap(attribute32(attribute32(without(svcTimeout), svcTimeout, 1), svcTimeout, 1)),
		"family 77":       wrap(attribute16(without(svcFamily), svcFamily, 77)),
		"short timeout":   wrap(attribute16(without(svcTimeout), svcTimeout, 1)),
		"short address":   wrap(attribute(without(svcAddress), svcAddress, 1, 2, 3)),
		"endless name":    wrap(attribute(without(svcScheduler), svcScheduler, 'r', 'r')),
		"empty name":      wrap(attribute(without(svcScheduler), svcScheduler, 0)),
		"name with space": wrap(attribute(without(svcScheduler), svcScheduler, 'r', ' ', 0)),
		"short counters":  wrap(append(inner[:len(inner):len(inner)], attribute(nil, svcStats64, 7, 0, 1)...)),
	}
	for _, kind := range []uint16{svcFamily, svcProtocol, svcAddress, svcPort, svcScheduler, svcFlags, svcTimeout, svcNetmask} {
		bad["without "+string(rune('0'+kind))] = wrap(without(kind))
	}
	for name, b := range bad {
		if got, err := decodeService(b); !errors.Is(err, ErrAnswer) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if _, err := decodeService(wrap(attribute(inner[:len(inner):len(inner)], 31, 1, 2, 3))); err != nil {
		t.Errorf("an attribute of a newer kernel: %v", err)
	}
}

// TestDecodingAllocates little: a list of thousands is read in one go.
func TestDecodingAllocates(t *testing.T) {
	s := marked(1)
	b := counters(appendService(nil, &s, true), 31, true)
	if n := testing.AllocsPerRun(100, func() { _, _ = decodeService(b) }); n > 1 {
		t.Errorf("%v allocations for a service", n)
	}
	d := Destination{Address: mustPort("192.0.2.1:0")}
	db := appendDestination(nil, &d, true)
	if n := testing.AllocsPerRun(100, func() { _, _ = decodeDestination(db, unix.AF_INET) }); n > 1 {
		t.Errorf("%v allocations for a destination", n)
	}
}
