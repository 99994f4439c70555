package nft_test

import (
	"context"
	"fmt"
	"net/netip"
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
	damage func(t *testing.T) // alters the chain as somebody else would
}

func (c *counting) Apply(ctx context.Context, name string, t nft.Transaction) error {
	c.writes++
	return c.Kernel.Apply(ctx, name, t)
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
		"10,000 elements come and go":    manyElements,
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
	if err := nft.New(nft.Config{Kernel: k}).Set(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// marks returns what a table says, as "address/protocol/port".
func marks(t testing.TB, k nft.Kernel, name string) map[string]uint32 {
	t.Helper()
	table, err := k.Read(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if table == nil {
		return nil
	}
	if !table.Intact {
		t.Fatalf("table %s is not intact", name)
	}
	found := map[string]uint32{}
	for _, e := range table.Elements {
		found[fmt.Sprintf("%s/%d/%d", e.Address, e.Protocol, e.Port)] = e.Mark
	}
	return found
}

func wantMarks(t *testing.T, k *counting, want map[string]uint32) {
	t.Helper()
	if diff := cmp.Diff(want, marks(t, k, "truepacs")); diff != "" {
		t.Fatalf("marks (-want +got):\n%s", diff)
	}
}

func (c *counting) wantWrites(t *testing.T, want int) {
	t.Helper()
	if c.writes != want {
		t.Errorf("%d transactions, want %d", c.writes, want)
	}
	c.writes = 0
}

var dicomMarks = map[string]uint32{
	"192.0.2.100/6/104": 0x54000001, "192.0.2.100/6/11112": 0x54000001,
	"192.0.2.101/6/104": 0x54000001, "192.0.2.101/6/11112": 0x54000001,
}

func marksAll(t *testing.T, k *counting) {
	mustSet(t, k, dicom)
	wantMarks(t, k, dicomMarks)
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
	if err := nft.New(nft.Config{Kernel: spy}).Set(t.Context(), []model.VirtualService{next}); err != nil {
		t.Fatal(err)
	}
	got := spy.seen
	if len(got) != 1 || got[0].Rebuild || len(got[0].Remove) != 2 || len(got[0].Add) != 2 {
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
	wantMarks(t, k, map[string]uint32{"192.0.2.100/6/443": 0x54000009})
	k.wantWrites(t, 1)
}

func noServices(t *testing.T, k *counting) {
	mustSet(t, k)
	k.wantWrites(t, 0)
	mustSet(t, k, web)
	mustSet(t, k)
	wantMarks(t, k, nil)
	mustSet(t, k, web)
	if err := nft.New(nft.Config{Kernel: k}).Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantMarks(t, k, nil)
}

func alteredTable(t *testing.T, k *counting) {
	mustSet(t, k, dicom)
	k.damage(t)
	k.writes = 0
	mustSet(t, k, dicom)
	wantMarks(t, k, dicomMarks)
	k.wantWrites(t, 1)
}

func lostTable(t *testing.T, k *counting) {
	mustSet(t, k, dicom)
	if err := k.Kernel.Apply(t.Context(), "truepacs", nft.Transaction{Delete: true}); err != nil {
		t.Fatal(err)
	}
	k.writes = 0
	mustSet(t, k, dicom)
	wantMarks(t, k, dicomMarks)
	k.wantWrites(t, 1)
}

func foreignTables(t *testing.T, k *counting) {
	foreign := nft.Element{Match: nft.Match{Address: netip.MustParseAddr("192.0.2.100"), Protocol: 6, Port: 443}, Mark: 7}
	if err := k.Kernel.Apply(t.Context(), "somebody", nft.Transaction{Rebuild: true, Add: []nft.Element{foreign}}); err != nil {
		t.Fatal(err)
	}
	mustSet(t, k, web)
	mustSet(t, k)
	if diff := cmp.Diff(map[string]uint32{"192.0.2.100/6/443": 7}, marks(t, k, "somebody")); diff != "" {
		t.Errorf("somebody's table (-want +got):\n%s", diff)
	}
}

func badItems(t *testing.T, k *counting) {
	udp := service("udp", 0x54000003, []string{"192.0.2.100"}, 53)
	udp.Protocol = "UDP"
	err := nft.New(nft.Config{Kernel: k}).Set(t.Context(), []model.VirtualService{
		udp, web,
		service("no mark", 0, []string{"192.0.2.100"}, 1),
		service("taken", 0x54000004, []string{"192.0.2.102", "192.0.2.100"}, 443),
		service("six", 0x54000005, []string{"2001:db8::1"}, 443),
		service("no port", 0x54000006, []string{"192.0.2.100"}),
	})
	items, rest := model.ItemErrors(err)
	got := map[string]string{}
	for key, item := range items {
		got[key] = item.Reason
	}
	want := map[string]string{}
	for _, key := range []string{"udp", "no mark", "taken", "six", "no port"} {
		want[key] = nft.ReasonKernelRefused
	}
	if diff := cmp.Diff(want, got); diff != "" || rest != nil {
		t.Errorf("item errors (-want +got):\n%s\nrest: %v", diff, rest)
	}
	wantMarks(t, k, map[string]uint32{"192.0.2.100/6/443": 0x54000002})
}

func manyElements(t *testing.T, k *counting) {
	var all []model.VirtualService
	for i := range 250 {
		s := service(fmt.Sprint("service", i), 0x54000001+uint32(i), nil)
		s.Addresses = []netip.Addr{netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})}
		for port := range uint16(40) {
			s.Ports = append(s.Ports, 1000+port)
		}
		all = append(all, s)
	}
	mustSet(t, k, all...)
	if got := len(marks(t, k, "truepacs")); got != 10_000 {
		t.Fatalf("%d elements, want 10,000", got)
	}
	mustSet(t, k, all...)
	k.wantWrites(t, 1)
	mustSet(t, k, all[:1]...)
	if got := len(marks(t, k, "truepacs")); got != 40 {
		t.Fatalf("%d elements, want 40", got)
	}
	k.wantWrites(t, 1)
}

func ownName(t *testing.T, k *counting) {
	if err := nft.New(nft.Config{Kernel: k, Table: "site"}).Set(t.Context(), []model.VirtualService{web}); err != nil {
		t.Fatal(err)
	}
	if len(marks(t, k, "site")) != 1 || marks(t, k, "truepacs") != nil {
		t.Error("the table has not the name it was given")
	}
}
