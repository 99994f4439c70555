package nft_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
	"github.com/truepacs/balancer/dataplane/nft"
)

// counting counts transactions on their way to the kernel and can make it unwilling.
type counting struct {
	nft.Kernel
	writes int
	reads  int
	damage func(t *testing.T) // alters the chain as somebody else would
}

func (c *counting) Apply(ctx context.Context, name string, t nft.Transaction) error {
	c.writes++
	return c.Kernel.Apply(ctx, name, t)
}

func (c *counting) Read(ctx context.Context, name string, shape nft.Shape) (*nft.Table, error) {
	c.reads++
	return c.Kernel.Read(ctx, name, shape)
}

func fakeKernel(*testing.T) *counting {
	fake := &nft.Fake{}
	return &counting{Kernel: fake, damage: func(*testing.T) { fake.Damage("truepacs") }}
}

func realKernel(t *testing.T) *counting {
	netnstest.Enter(t)
	return &counting{Kernel: nft.Netfilter{}, damage: func(t *testing.T) {
		netnstest.Run(t, "nft", "add rule inet truepacs prerouting counter drop")
	}}
}

// TestContract runs each clause of the driver's contract against the fake and the kernel.
func TestContract(t *testing.T) {
	clauses := map[string]func(*testing.T, *counting){
		"marks every address and port":   marksAll,
		"second call writes nothing":     secondCall,
		"writes only the difference":     onlyDifference,
		"a changed mark is one write":    changedMark,
		"no services, no table":          noServices,
		"altered table is rebuilt":       alteredTable,
		"lost table is rebuilt":          lostTable,
		"foreign tables stay":            foreignTables,
		"bad items do not stop others":   badItems,
		"what is known is not read":      knownTable,
		"10,000 services come and go":    manyElements,
		"every part, both families":      everyPart,
		"parts come and go":              partsComeAndGo,
		"bad items of parts":             badParts,
		"ways of forwarding":             waysOfForwarding,
		"a change of a range":            changedRange,
		"a name of one's own is honored": ownName,
	}
	for clause, check := range clauses {
		t.Run(clause+"/fake", func(t *testing.T) { check(t, fakeKernel(t)) })
		t.Run(clause+"/kernel in pod", func(t *testing.T) { check(t, realKernel(t)) })
	}
}

func service(key string, mark uint32, addresses []string, ports ...uint16) model.VirtualService {
	s := model.VirtualService{Key: key, Mark: mark, Protocol: model.TCP, Ports: ports}
	for _, a := range addresses {
		s.Addresses = append(s.Addresses, netip.MustParseAddr(a))
	}
	return s
}

var (
	dicom = service("imaging/radiology/dicom", 0x54000001, []string{"192.0.2.100", "192.0.2.101"}, 104, 11112)
	web   = service("imaging/radiology/web", 0x54000002, []string{"192.0.2.100"}, 443)
)

func mustSet(t *testing.T, k *counting, all ...model.VirtualService) {
	t.Helper()
	mustDo(t, k, services(all...))
}

// mustDo sets everything that is desired.
func mustDo(t *testing.T, k nft.Kernel, desired nft.Desired) {
	t.Helper()
	if err := nft.New(nft.Config{Kernel: k}).Set(t.Context(), desired); err != nil {
		t.Fatal(err)
	}
}

func services(all ...model.VirtualService) nft.Desired { return nft.Desired{Services: all} }

// director is the shape of a table that marks.
var director = nft.Shape{Director: true}

// elements returns the elements of an intact table as text, sorted; nil if there is no table.
// Those that only serve to find marks that others alter are left out: they follow from services,
// and the golden table has them.
func elements(t testing.TB, k nft.Kernel, name string, shape nft.Shape) []string {
	t.Helper()
	table, err := k.Read(t.Context(), name, shape)
	if err != nil {
		t.Fatal(err)
	}
	if table == nil {
		return nil
	}
	if !table.Intact {
		t.Fatalf("table %s is not intact", name)
	}
	found := []string{}
	for _, e := range table.Elements {
		if text := e.String(); !strings.HasPrefix(text, "marks ") && !strings.HasPrefix(text, "balanced") {
			found = append(found, text)
		}
	}
	slices.Sort(found)
	return found
}

// wantElements compares what the table of that shape has.
func wantElements(t *testing.T, k nft.Kernel, shape nft.Shape, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, elements(t, k, "truepacs", shape)); diff != "" {
		t.Fatalf("elements (-want +got):\n%s", diff)
	}
}

func wantMarks(t *testing.T, k nft.Kernel, want ...string) {
	t.Helper()
	wantElements(t, k, director, want...)
}

func (c *counting) wantWrites(t *testing.T, want int) {
	t.Helper()
	if c.writes != want {
		t.Errorf("%d transactions, want %d", c.writes, want)
	}
	c.writes = 0
}

// dicomMarks are the elements of dicom.
func dicomMarks() []string {
	return []string{
		"services4 192.0.2.100 . 6 . 104 : 0x54000001", "services4 192.0.2.100 . 6 . 11112 : 0x54000001",
		"services4 192.0.2.101 . 6 . 104 : 0x54000001", "services4 192.0.2.101 . 6 . 11112 : 0x54000001",
	}
}

func marksAll(t *testing.T, k *counting) {
	mustSet(t, k, dicom)
	wantMarks(t, k, dicomMarks()...)
	k.wantWrites(t, 1)
}

func secondCall(t *testing.T, k *counting) {
	mustSet(t, k, dicom, web)
	k.writes = 0
	mustSet(t, k, web, dicom)
	k.wantWrites(t, 0)
}

func onlyDifference(t *testing.T, k *counting) {
	mustSet(t, k, dicom)
	k.writes = 0
	spy := &transactions{Kernel: k}
	next := dicom
	next.Ports = []uint16{104, 4242}
	if err := nft.New(nft.Config{Kernel: spy}).Set(t.Context(), services(next)); err != nil {
		t.Fatal(err)
	}
	got := spy.seen
	if len(got) != 1 || got[0].Rebuild != nil || len(got[0].Remove) != 2 || len(got[0].Add) != 2 {
		t.Errorf("transactions %+v, want one that removes two and adds two", got)
	}
}

type transactions struct {
	nft.Kernel
	seen []nft.Transaction
}

func (s *transactions) Apply(ctx context.Context, name string, t nft.Transaction) error {
	s.seen = append(s.seen, t)
	return s.Kernel.Apply(ctx, name, t)
}

func changedMark(t *testing.T, k *counting) {
	mustSet(t, k, web)
	k.writes = 0
	next := web
	next.Mark = 0x54000009
	mustSet(t, k, next)
	wantMarks(t, k, "services4 192.0.2.100 . 6 . 443 : 0x54000009")
	k.wantWrites(t, 1)
}

func noServices(t *testing.T, k *counting) {
	mustSet(t, k)
	k.wantWrites(t, 0)
	mustSet(t, k, web)
	mustSet(t, k)
	wantMarks(t, k)
	mustSet(t, k, web)
	if err := nft.New(nft.Config{Kernel: k}).Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantMarks(t, k)
}

func alteredTable(t *testing.T, k *counting) {
	mustSet(t, k, dicom)
	k.damage(t)
	k.writes = 0
	mustSet(t, k, dicom)
	wantMarks(t, k, dicomMarks()...)
	k.wantWrites(t, 1)
}

// knownTable: a driver reads when rules changed, its own or others', when something else is wanted, and
// when elements vanish by themselves.
func knownTable(t *testing.T, k *counting) {
	driver := nft.New(nft.Config{Kernel: k})
	var refused error
	set := func(what string, reads, writes int, d nft.Desired) {
		t.Helper()
		k.reads, k.writes = 0, 0
		refused = driver.Set(t.Context(), d)
		if k.reads != reads || k.writes != writes {
			t.Errorf("%s: %d reads and %d writes, want %d and %d", what, k.reads, k.writes, reads, writes)
		}
	}
	noMark := service("no mark", 0, []string{"192.0.2.101"}, 1)
	some := services(dicom, noMark)
	some.Guarded = addresses(vip4)
	set("first", 2, 1, some)
	for range 2 {
		set("again", 0, 0, some)
		if items, _ := model.ItemErrors(refused); items["no mark"] == nil {
			t.Errorf("what is refused is not named again: %v", refused)
		}
	}
	weighed := some
	weighed.Services = slices.Clone(some.Services)
	weighed.Services[0].Servers = []model.RealServer{{Address: netip.MustParseAddr("192.0.2.11"), Weight: 100}}
	set("a server", 1, 0, weighed)
	weighed.Services[0].Servers = []model.RealServer{{Address: netip.MustParseAddr("192.0.2.11"), Weight: 50, State: model.Drain}}
	set("its weight and state", 0, 0, weighed)
	set("no server", 1, 0, some)
	set("more", 2, 1, nft.Desired{Services: append(some.Services, web), Guarded: some.Guarded})
	set("less", 2, 1, some)
	set("less again", 0, 0, some)
	foreign := nft.Transaction{Rebuild: &director}
	if err := k.Kernel.Apply(t.Context(), "somebody", foreign); err != nil {
		t.Fatal(err)
	}
	set("others' rules", 1, 0, some)
	set("others' rules again", 0, 0, some)
	k.damage(t)
	set("damage", 2, 1, some)
	if err := k.Kernel.Apply(t.Context(), "truepacs", nft.Transaction{Delete: true}); err != nil {
		t.Fatal(err)
	}
	set("table lost", 2, 1, some)
	resets := some
	resets.Resets = everything().Resets
	set("resets", 2, 1, resets)
	set("resets again", 1, 0, resets)
	set("nothing", 2, 1, nft.Desired{})
	set("nothing again", 1, 0, nft.Desired{})
	set("all back", 2, 1, some)
}

func lostTable(t *testing.T, k *counting) {
	mustSet(t, k, dicom)
	if err := k.Kernel.Apply(t.Context(), "truepacs", nft.Transaction{Delete: true}); err != nil {
		t.Fatal(err)
	}
	k.writes = 0
	mustSet(t, k, dicom)
	wantMarks(t, k, dicomMarks()...)
	k.wantWrites(t, 1)
}

func foreignTables(t *testing.T, k *counting) {
	foreign := nft.Element{Set: "services4", Key: "\xc0\x00\x02\x64\x06\x00\x00\x00\x01\xbb\x00\x00", Value: "\x07\x00\x00\x00"}
	if err := k.Kernel.Apply(t.Context(), "somebody", nft.Transaction{Rebuild: &director, Add: []nft.Element{foreign}}); err != nil {
		t.Fatal(err)
	}
	mustSet(t, k, web)
	mustSet(t, k)
	want := []string{"services4 192.0.2.100 . 6 . 443 : 0x7"}
	if diff := cmp.Diff(want, elements(t, k, "somebody", director)); diff != "" {
		t.Errorf("somebody's table (-want +got):\n%s", diff)
	}
}

func badItems(t *testing.T, k *counting) {
	sctp := service("sctp", 0x54000003, []string{"192.0.2.100"}, 53)
	sctp.Protocol = "SCTP"
	backwards := service("backwards", 0x54000007, []string{"192.0.2.100"}, 9)
	backwards.PortRanges = []model.PortRange{{First: 20, Last: 10}}
	covered := service("covered", 0x54000008, []string{"192.0.2.100"})
	covered.PortRanges = []model.PortRange{{First: 400, Last: 500}}
	bad := []model.VirtualService{
		sctp, backwards, covered,
		service("no mark", 0, []string{"192.0.2.100"}, 1),
		service("taken", 0x54000004, []string{"192.0.2.102", "192.0.2.100"}, 443),
		service("two families", 0x54000005, []string{"192.0.2.100", "2001:db8::1"}, 4443),
		service("within six", 0x5400000a, []string{"::ffff:192.0.2.100"}, 4443),
		service("no port", 0x54000006, []string{"192.0.2.100"}),
		service("no address", 0x54000009, nil, 1),
		service("same mark", 0x54000002, []string{"192.0.2.100"}, 80),
	}
	err := nft.New(nft.Config{Kernel: k}).Set(t.Context(), services(append([]model.VirtualService{web}, bad...)...))
	items, rest := model.ItemErrors(err)
	got, want := map[string]string{}, map[string]string{}
	for key, item := range items {
		got[key] = item.Reason
	}
	for _, s := range bad {
		want[s.Key] = nft.ReasonKernelRefused
	}
	if diff := cmp.Diff(want, got); diff != "" || rest != nil {
		t.Errorf("item errors (-want +got):\n%s\nrest: %v", diff, rest)
	}
	wantMarks(t, k, "services4 192.0.2.100 . 6 . 443 : 0x54000002")
}

// manyServices are a hospital group's: each with two ports at an address of its own, IPv4 and
// IPv6 by turns.
func manyServices(n int) []model.VirtualService {
	all := make([]model.VirtualService, n)
	for i := range all {
		address := netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)})
		if i%2 == 1 {
			address = netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(i >> 8), 15: byte(i)})
		}
		all[i] = service(fmt.Sprint("service", i), 0x54000001+uint32(i), []string{address.String()}, 104, 11112)
		all[i].Forwarding = model.DirectRouting
	}
	return all
}

func manyElements(t *testing.T, k *counting) {
	const n = 10_000
	all := manyServices(n)
	mustSet(t, k, all...)
	if got := len(elements(t, k, "truepacs", director)); got != 4*n {
		t.Fatalf("%d elements, want %d", got, 4*n)
	}
	mustSet(t, k, all...)
	k.wantWrites(t, 1)
	spy := &transactions{Kernel: k}
	all[n/2].Ports = []uint16{104, 4242}
	mustDo(t, spy, services(all...))
	if got := spy.seen; len(got) != 1 || got[0].Rebuild != nil || len(got[0].Add) != 2 || len(got[0].Remove) != 2 {
		t.Errorf("one port of one service changed, but %d transactions", len(got))
	}
	mustSet(t, k, all[:1]...)
	if got := len(elements(t, k, "truepacs", director)); got != 4 {
		t.Fatalf("%d elements, want 4", got)
	}
}

func ownName(t *testing.T, k *counting) {
	if err := nft.New(nft.Config{Kernel: k, Table: "site"}).Set(t.Context(), services(web)); err != nil {
		t.Fatal(err)
	}
	if len(elements(t, k, "site", director)) != 1 || elements(t, k, "truepacs", director) != nil {
		t.Error("the table has not the name it was given")
	}
}
