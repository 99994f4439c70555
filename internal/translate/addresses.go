package translate

import (
	"net/netip"

	"github.com/truepacs/balancer/api/v1alpha1"
)

// occupied says who has which address, apart from virtual IPs.
type occupied struct {
	nodes    map[netip.Addr]string
	fixed    map[netip.Addr]string
	networks []netip.Prefix
	servers  map[netip.Addr][]serverAt
	// virtual are the balancers that ask for an address, in order.
	virtual map[netip.Addr][]*balancer
	// previous is what this node programmed before.
	previous map[string]Kept
}

// serverAt is a real server at an address.
type serverAt struct {
	owner        *balancer
	pool, server string
}

func findOccupied(in Input, balancers []*balancer) occupied {
	o := occupied{
		nodes:   map[netip.Addr]string{},
		fixed:   map[netip.Addr]string{},
		servers: map[netip.Addr][]serverAt{},
		virtual: map[netip.Addr][]*balancer{},

		previous: in.Previous,
	}
	o.addNodes(in)
	for _, a := range in.APIServers {
		o.fixed[a.Unmap()] = "an address of the API server"
	}
	for _, a := range in.Node.Gateways {
		o.fixed[a.Unmap()] = "the default gateway of node " + in.Node.Name
	}
	for _, b := range balancers {
		o.addBalancer(b)
	}
	return o
}

func (o *occupied) addNodes(in Input) {
	ours := heldBefore(in.Previous)
	for _, i := range in.Node.Interfaces {
		for _, p := range i.Addresses {
			if ours[p.Addr()] {
				continue
			}
			o.nodes[p.Addr()] = in.Node.Name
			if p.Addr().BitLen()-p.Bits() > 1 {
				o.networks = append(o.networks, p.Masked())
			}
		}
	}
	for _, n := range in.Nodes {
		for _, a := range n.Addresses {
			if !ours[a.Unmap()] {
				o.nodes[a.Unmap()] = n.Name
			}
		}
	}
}

// heldBefore are the virtual IPs that this node's interfaces may show because we put them there.
func heldBefore(previous map[string]Kept) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for _, k := range previous {
		for _, a := range k.Addresses {
			out[a.Address] = true
		}
		for _, v := range k.RealServer {
			out[v.Address] = true
		}
	}
	return out
}

func (o *occupied) addBalancer(b *balancer) {
	for _, p := range b.obj.Spec.ServerPools {
		for _, m := range members(&p) {
			if a, err := netip.ParseAddr(m.Address); err == nil {
				o.servers[a] = append(o.servers[a], serverAt{b, p.Name, m.Name})
			}
		}
	}
	for _, v := range b.obj.Spec.VirtualIPs {
		if a, err := netip.ParseAddr(v.Address); err == nil {
			o.virtual[a] = append(o.virtual[a], b)
		}
	}
}

// buildAddresses resolves the virtual IPs of a service.
func (r *run) buildAddresses(s *service) {
	for _, name := range s.spec.VirtualIPs {
		v := findVIP(s.owner.obj, name)
		if v == nil {
			s.refuse(refusef(v1alpha1.ReasonInvalidField,
				"spec.virtualServices[%s].virtualIPs names %q, which is not in spec.virtualIPs: write the name of one of them, or add it", s.spec.Name, name))
			continue
		}
		held, refusal := r.resolveVIP(s.owner, v)
		s.refuse(refusal)
		if refusal == nil {
			s.wanted.Addresses = append(s.wanted.Addresses, held)
		}
	}
}

func findVIP(obj *v1alpha1.TruePACSBalancer, name string) *v1alpha1.VirtualIP {
	for i := range obj.Spec.VirtualIPs {
		if obj.Spec.VirtualIPs[i].Name == name {
			return &obj.Spec.VirtualIPs[i]
		}
	}
	return nil
}

// resolveVIP checks an address and, on its director, finds the interface for it.
func (r *run) resolveVIP(b *balancer, v *v1alpha1.VirtualIP) (HeldAddress, *Refusal) {
	held := HeldAddress{Name: v.Name}
	addr, ok := usable(v.Address)
	if !ok {
		return held, refusef(v1alpha1.ReasonInvalidField,
			"spec.virtualIPs[%s].address %q is not a usable IPv4 or IPv6 address: write a free address of the clients' or the servers' network in canonical form, for example 192.0.2.100 or 2001:db8::64", v.Name, clip(v.Address))
	}
	held.Address = addr
	if refusal := r.occupied.refuseVIP(b, v.Name, addr); refusal != nil || !b.active {
		return held, refusal
	}
	var refusal *Refusal
	held.Interface, refusal = chooseInterface(r.in.Node, v, addr)
	return held, refusal
}

// usable reads a unicast address in canonical form without zone.
func usable(text string) (netip.Addr, bool) {
	addr, err := netip.ParseAddr(text)
	return addr, err == nil && addr.IsGlobalUnicast() && !addr.Is4In6() && addr.Zone() == "" && addr.String() == text
}

// refuseVIP refuses an address that somebody else has.
func (o *occupied) refuseVIP(b *balancer, name string, addr netip.Addr) *Refusal {
	const instead = "write a free address of the clients' or the servers' network"
	if node, taken := o.nodes[addr]; taken {
		return refusef(v1alpha1.ReasonAddressInUse, "spec.virtualIPs[%s].address %s is the own address of node %s: %s", name, addr, node, instead)
	}
	if what, taken := o.fixed[addr]; taken {
		return refusef(v1alpha1.ReasonAddressInUse, "spec.virtualIPs[%s].address %s is %s: %s", name, addr, what, instead)
	}
	for _, s := range o.servers[addr] {
		if s.owner == b || !o.vipFirst(b, s.owner, addr) {
			return refusef(v1alpha1.ReasonAddressInUse, "spec.virtualIPs[%s].address %s is the address of server %s in pool %s of %s: %s",
				name, addr, s.server, s.pool, s.owner.name, instead)
		}
	}
	for _, n := range o.networks {
		if n.Addr() == addr || (n.Addr().Is4() && lastOf(n) == addr) {
			return refusef(v1alpha1.ReasonInvalidField, "spec.virtualIPs[%s].address %s is the first or last address of network %s, which no host may have: %s", name, addr, n, instead)
		}
	}
	return nil
}

// vipFirst decides between a balancer's virtual IP and another balancer's server of the same
// address: the one that is programmed stands, else the older balancer has it.
func (o *occupied) vipFirst(vip, server *balancer, addr netip.Addr) bool {
	if vip.holds(addr, o.previous) {
		return true
	}
	return !server.serves(addr, o.previous) && olderFirst(vip, server) < 0
}

// refuseServer refuses a server whose address is a virtual IP of another balancer that has the
// better claim; within one balancer the virtual IP is refused.
func (o *occupied) refuseServer(b *balancer, addr netip.Addr) *balancer {
	for _, vip := range o.virtual[addr] {
		if vip != b && o.vipFirst(vip, b, addr) {
			return vip
		}
	}
	return nil
}

// lastOf is the broadcast address of an IPv4 network.
func lastOf(n netip.Prefix) netip.Addr {
	b := n.Addr().As4()
	for i := n.Bits(); i < 32; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	return netip.AddrFrom4(b)
}

// clip bounds how much of a bad value a message repeats.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
