package schedule

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/truepacs/balancer/dataplane/model"
)

// TestSipHash: the value of the bytes 0, 1, 2, 3 under the key of the bytes 0 to 15, as the kernel's
// own test has it for machines with 64 bits (lib/siphash_kunit.c, test_vectors_hsiphash[4]).
func TestSipHash(t *testing.T) {
	if got := sip13(0x03020100, [2]uint64{0x0706050403020100, 0x0f0e0d0c0b0a0908}); got != 0x88d38328 {
		t.Errorf("%#x", got)
	}
}

func TestFold(t *testing.T) {
	for text, want := range map[string]uint32{
		"192.0.2.1": 0xc0000201, "2001:db8::1": 0x20010db8 ^ 1, "1:2:3:4:5:6:7:8": 0x00010002 ^ 0x00030004 ^ 0x00050006 ^ 0x00070008,
	} {
		if got := fold(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %#x, want %#x", text, got, want)
		}
	}
}

// TestSourceTable: servers get buckets by weight from the first on; one without weight gets one.
func TestSourceTable(t *testing.T) {
	table := fillSourceTable(three([3]int{100, 0, 100}))
	var counts [3]int
	for _, i := range table {
		counts[i]++
	}
	if counts != [3]int{155, 1, 100} {
		t.Errorf("%v", counts)
	}
	if table[0] != 0 || table[99] != 0 || table[100] != 1 || table[101] != 2 || table[200] != 2 || table[201] != 0 {
		t.Errorf("%v", table)
	}
}

func TestMaglevTurns(t *testing.T) {
	for name, tc := range map[string]struct{ weights, want [3]int }{
		"equal":                   {[3]int{100, 100, 100}, [3]int{1, 1, 1}},
		"by the common divisor":   {[3]int{100, 50, 0}, [3]int{2, 1, 0}},
		"shifted to six bits":     {[3]int{1, 200, 65535}, [3]int{1, 1, 63}},
		"nobody has ever had any": {[3]int{}, [3]int{}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want[:], maglevTurns(three(tc.weights))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestHashProperties: every table is full, a server that can serve is always found with the flag
// Fallback, the server is one that can serve, and one that fails moves only its own clients.
func TestHashProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := Service{
			Scheduler: rapid.SampledFrom([]model.Scheduler{model.SourceHash, model.MaglevHash}).Draw(t, "scheduler"),
			Flags:     model.SchedulerFlags{Fallback: true, Port: rapid.Bool().Draw(t, "port")},
		}
		weights := rapid.SliceOfN(rapid.IntRange(1, 300), 1, 6).Draw(t, "weights")
		for i, w := range weights {
			a := netip.AddrFrom4([4]byte{192, 0, 2, byte(10 + i)})
			s.Servers = append(s.Servers, Server{Address: netip.AddrPortFrom(a, 0), Weight: w, LastWeight: w})
		}
		from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, 100, rapid.Byte().Draw(t, "host")}), rapid.Uint16Range(1, 65535).Draw(t, "client port"))
		before := Choose(&s, from)
		if before.Doubt != None || len(before.Candidates) != 1 {
			t.Fatalf("%+v", before)
		}
		down := rapid.IntRange(0, len(weights)-1).Draw(t, "down")
		s.Servers[down].Weight = 0
		after := Choose(&s, from)
		switch {
		case len(weights) == 1 && len(after.Candidates) > 0:
			t.Fatalf("no server, but %+v", after)
		case len(weights) > 1 && (len(after.Candidates) != 1 || after.Candidates[0].Server == down):
			t.Fatalf("server %d is down, and it is %+v", down, after)
		case s.Scheduler == model.MaglevHash && before.Candidates[0].Server != down && !cmp.Equal(before, after):
			t.Fatalf("server %d is down, client moved from %+v to %+v", down, before, after)
		}
	})
}

// TestWithoutFallback: the client of a server that takes none is refused.
func TestWithoutFallback(t *testing.T) {
	s := Service{Scheduler: model.MaglevHash, Servers: three([3]int{1, 1, 1})}
	at := Choose(&s, client).Candidates[0].Server
	s.Servers[at].Weight = 0
	if got := Choose(&s, client); len(got.Candidates) > 0 || got.Doubt != None {
		t.Errorf("%+v", got)
	}
}

// TestPortNotKnown: shares add up to 1, and each port's choice is among the candidates.
func TestPortNotKnown(t *testing.T) {
	for _, scheduler := range []model.Scheduler{model.SourceHash, model.MaglevHash} {
		s := Service{Scheduler: scheduler, Flags: model.SchedulerFlags{Port: true, Fallback: true}, Servers: three([3]int{3, 1, 0})}
		got := Choose(&s, netip.AddrPortFrom(client.Addr(), 0))
		sum := 0.0
		for _, c := range got.Candidates {
			sum += c.Share
		}
		if got.Doubt != Port || len(got.Candidates) != 2 || sum < 0.999 || sum > 1.001 {
			t.Errorf("%s: %+v", scheduler, got)
		}
	}
}

// ring is a table of eight buckets, each with a server of its own.
type ring struct{}

func (ring) size() uint32                        { return 8 }
func (ring) server(bucket uint32) int            { return int(bucket) }
func (ring) bucket(number, offset uint32) uint32 { return (number + offset) % 8 }

// TestFallbackOrder: the kernel moves on by the first bucket's number and then one by one, so that the
// clients of a server that fails do not all go to its neighbour.
func TestFallbackOrder(t *testing.T) {
	var asked []int
	s := Service{Flags: model.SchedulerFlags{Fallback: true}}
	none := func(i int) bool { asked = append(asked, i); return false }
	if got := s.find(ring{}, none, 3); got != -1 {
		t.Errorf("server %d", got)
	}
	if diff := cmp.Diff([]int{3, 6, 7, 0, 1, 2, 3, 4, 5}, asked); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
