package announce

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"time"
)

// Fake is a network in memory: interfaces of this host, each on a link of its own with other
// hosts that answer for their addresses. The zero value has no interface; it may be used from several
// goroutines.
type Fake struct {
	mu         sync.Mutex
	interfaces map[string]Interface
	hosts      map[string]map[netip.Addr][]MAC
	listeners  map[*fakePort]bool
	open       int
	sent       []Sent
}

// Sent is a packet that was sent: Packet is that of ARP, Neighbor that of NDP.
type Sent struct {
	Interface string
	At        time.Time
	Kind      Kind
	To        MAC
	Packet    Packet
	Neighbor  Neighbor
}

var _ Network = (*Fake)(nil)

// SetInterface adds or changes an interface of this host; sending on one that is not Up fails.
func (f *Fake) SetInterface(name string, i Interface) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.interfaces == nil {
		f.interfaces = map[string]Interface{}
		f.hosts = map[string]map[netip.Addr][]MAC{}
		f.listeners = map[*fakePort]bool{}
	}
	f.interfaces[name] = i
}

// AddHost puts another host on an interface's link that answers for an address; several hosts may
// answer for one.
func (f *Fake) AddHost(name string, address netip.Addr, mac MAC) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.hosts[name] == nil {
		f.hosts[name] = map[netip.Addr][]MAC{}
	}
	f.hosts[name][address] = append(f.hosts[name][address], mac)
}

// RemoveHosts takes an address from all other hosts of an interface's link.
func (f *Fake) RemoveHosts(name string, address netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.hosts[name], address)
}

// Sent returns what was sent so far.
func (f *Fake) Sent() []Sent {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sent)
}

// OpenPorts returns how many ports are open.
func (f *Fake) OpenPorts() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.open
}

// Inject makes the payload of a frame arrive on an interface, for ports of both kinds.
func (f *Fake) Inject(name string, from MAC, b []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.deliver(name, from, b)
}

func (f *Fake) deliver(name string, from MAC, b []byte) {
	for p := range f.listeners {
		if p.name == name {
			select {
			case p.queue <- arrival{from, slices.Clone(b)}:
			default: // a full buffer loses packets
			}
		}
	}
}

// Interface implements Network.
func (f *Fake) Interface(name string) (Interface, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i, there := f.interfaces[name]
	if !there {
		return Interface{}, fmt.Errorf("interface %q: %w", name, ErrNoInterface)
	}
	return i, nil
}

// OwnMACs implements Network.
func (f *Fake) OwnMACs() ([]MAC, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var macs []MAC
	for _, i := range f.interfaces {
		macs = append(macs, i.MAC)
	}
	return macs, nil
}

// Open implements Network.
func (f *Fake) Open(name string, kind Kind, listen *Listen) (Port, error) {
	if _, err := f.Interface(name); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &fakePort{fake: f, name: name, kind: kind, queue: make(chan arrival, 64), closed: make(chan struct{})}
	f.open++
	if listen != nil {
		f.listeners[p] = true
	}
	return p, nil
}

type arrival struct {
	from MAC
	b    []byte
}

type fakePort struct {
	fake   *Fake
	name   string
	kind   Kind
	queue  chan arrival
	closed chan struct{}
	once   sync.Once
}

// Send implements Port.
func (p *fakePort) Send(to MAC, b []byte) error {
	p.fake.mu.Lock()
	defer p.fake.mu.Unlock()
	if !p.fake.interfaces[p.name].Up {
		return syscall.ENETDOWN
	}
	if p.kind == NDP {
		return p.sendNDP(to, b)
	}
	packet, err := Parse(b)
	if err != nil {
		return err
	}
	p.fake.sent = append(p.fake.sent, Sent{Interface: p.name, At: time.Now(), Kind: ARP, To: to, Packet: packet})
	if packet.Operation != Request {
		return nil
	}
	for _, mac := range p.fake.hosts[p.name][packet.TargetIP] {
		answer := Packet{Operation: Reply, SenderMAC: mac, SenderIP: packet.TargetIP, TargetMAC: packet.SenderMAC, TargetIP: packet.SenderIP}
		p.fake.deliver(p.name, mac, answer.Append(nil))
	}
	return nil
}

func (p *fakePort) sendNDP(to MAC, b []byte) error {
	n, err := ParseNeighbor(b)
	if err != nil {
		return err
	}
	p.fake.sent = append(p.fake.sent, Sent{Interface: p.name, At: time.Now(), Kind: NDP, To: to, Neighbor: n})
	if n.Type != Solicitation {
		return nil
	}
	for _, mac := range p.fake.hosts[p.name][n.Target] {
		answer := Neighbor{Type: Advertisement, Source: n.Target, Destination: n.Source, Target: n.Target, LinkLayer: mac, Solicited: true, Override: true}
		if n.Source.IsUnspecified() { // RFC 4861 section 7.2.4
			answer.Destination, answer.Solicited = allNodes(), false
		}
		p.fake.deliver(p.name, mac, answer.Append(nil))
	}
	return nil
}

// Receive implements Port.
func (p *fakePort) Receive(ctx context.Context, b []byte) (int, MAC, error) {
	select {
	case packet := <-p.queue:
		return copy(b, packet.b), packet.from, nil
	case <-p.closed:
		return 0, MAC{}, syscall.EBADF
	case <-ctx.Done():
		return 0, MAC{}, ctx.Err()
	}
}

// Close implements Port.
func (p *fakePort) Close() error {
	p.once.Do(func() {
		close(p.closed)
		p.fake.mu.Lock()
		defer p.fake.mu.Unlock()
		p.fake.open--
		delete(p.fake.listeners, p)
	})
	return nil
}
