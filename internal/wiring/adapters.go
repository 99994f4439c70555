package wiring

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/drain/provoke"
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/keeper"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/netif/forwarding"
	"github.com/truepacs/balancer/dataplane/nft"
)

// balancer is what virtualServer needs of *ipvs.Driver.
type balancer interface {
	Set(ctx context.Context, all []model.VirtualService) error
	SetSettings(ctx context.Context, timeouts model.IPVSTimeouts) error
	Weights(ctx context.Context) (map[uint32]map[string]int, error)
	Timeouts(ctx context.Context) (genl.Timeouts, error)
	ConnectionsOf(ctx context.Context, all []model.VirtualService, filter ipvs.ConnectionFilter, visit func(ipvs.Connection) error) error
}

// forwarder is what virtualServer needs of *forwarding.Driver.
type forwarder interface {
	Set(ctx context.Context, need forwarding.Need) error
}

// virtualServer is IPVS as the agent sees it; Weights is the driver's.
type virtualServer struct {
	balancer
	forwarding forwarder
	routes     func() func(netip.Addr) (string, error) // the interface by which an address is reached, as of now
}

// Set implements agent.VirtualServer. Settings of the host and its IPVS are made when there is a
// service, not before, and given back after the last: a host without work stays as it is. A service
// that is refused does not keep the others from having them; if IPVS cannot be read, its settings
// wait.
func (v *virtualServer) Set(ctx context.Context, all []model.VirtualService, timeouts model.IPVSTimeouts) error {
	need, unrouted := forwardingNeed(all, v.routes())
	err := v.balancer.Set(ctx, all)
	if !errors.Is(err, ipvs.ErrUnreadable) {
		err = errors.Join(err, v.SetSettings(ctx, timeouts))
	}
	return errors.Join(err, unrouted, v.forwarding.Set(ctx, need))
}

// EachConnection implements agent.ConnectionTable. Without IPVS there are no connections.
func (v *virtualServer) EachConnection(ctx context.Context, services []model.VirtualService, visit func(*drain.Connection)) error {
	timeouts, err := v.Timeouts(ctx)
	if errors.Is(err, ipvs.ErrModuleMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	var c drain.Connection
	return v.ConnectionsOf(ctx, services, ipvs.ConnectionFilter{WithoutTemplates: true}, func(found ipvs.Connection) error {
		c = drain.Connection{
			Service: found.Key, Protocol: model.Protocol(found.Protocol), Client: found.Client, Virtual: found.Virtual,
			Server: found.Server, State: found.State, Quiet: timeouts.TCPFin - found.Expires,
		}
		visit(&c)
		return nil
	})
}

var (
	_ agent.VirtualServer   = (*virtualServer)(nil)
	_ agent.ConnectionTable = (*virtualServer)(nil)
)

// forwardingNeed is what the host must forward for services: see the package forwarding. Servers
// that cannot be reached now are in the error, and the need is partial.
func forwardingNeed(all []model.VirtualService, route func(netip.Addr) (string, error)) (forwarding.Need, error) {
	var need forwarding.Need
	var errs []error
	for i := range all {
		for _, server := range all[i].Servers {
			how := cmp.Or(server.Forwarding, all[i].Forwarding)
			switch {
			case how != model.NAT && how != model.SNAT:
			case server.Address.Is6():
				need.IPv6 = true
			case how == model.NAT:
				need.IPv4 = true
			default:
				name, err := route(server.Address)
				if err != nil {
					need.Partial = true
					errs = append(errs, &model.ItemError{Key: all[i].Key, Reason: netif.ReasonKernelRefused, Err: err})
					continue
				}
				need.Interfaces = append(need.Interfaces, name)
			}
		}
	}
	return need, errors.Join(errs...)
}

// feeder is the keeper as the agent sees it.
type feeder struct{ *keeper.Server }

// State implements agent.ProxyFeeder.
func (f feeder) State() agent.ProxyState {
	s := f.Server.State()
	return agent.ProxyState{
		Connected: s.Connected, Current: s.Current, Version: s.Version,
		Refused: s.Status.Refused, Verdicts: s.Status.Verdicts,
	}
}

// holder is virtual IP addresses as the agent sees them.
type holder struct {
	*netif.Driver
	announcer *announce.Announcer
}

// Set implements agent.AddressHolder. Addresses that were gone are announced at once; those that
// are new to the announcer it announces by itself.
func (h holder) Set(ctx context.Context, all []model.VirtualIP) error {
	added, err := h.Hold(ctx, all)
	if len(added) > 0 {
		h.announcer.Again(added)
	}
	return err
}

// packetFilter is nftables as the agent sees it.
type packetFilter struct {
	*nft.Driver
	netif *netif.Driver
}

// Set implements agent.PacketFilter. Connections are reset with the packets of their clients, so
// clients are made to send some.
func (f packetFilter) Set(ctx context.Context, rules agent.PacketRules) error {
	desired := nft.Desired{Services: rules.Services, Guarded: rules.Guarded, Declared: rules.Declared}
	for _, flow := range rules.Resets {
		desired.Resets = append(desired.Resets, nft.Flow{Client: flow.Client, VIP: flow.Virtual})
	}
	if len(rules.Tunnelled) > 0 {
		interfaces, err := f.netif.Interfaces(ctx)
		if err != nil {
			return err // without the clamps, large segments would be lost
		}
		desired.Clamps = clamps(rules.Tunnelled, interfaces)
	}
	return errors.Join(f.Driver.Set(ctx, desired), provoke.All(ctx, rules.Resets))
}

// Bytes of a tunnelled packet that are no TCP payload: two IPv4 or IPv6 headers and one of TCP.
const (
	tunnelHeaders4 = 20 + 20 + 20
	tunnelHeaders6 = 40 + 40 + 20
)

// clamps make segments fit into the tunnel: its packets are as large as the interface takes.
func clamps(all []model.LoopbackVIP, interfaces []netif.Interface) []nft.Clamp {
	var out []nft.Clamp
	for _, v := range all {
		at := slices.IndexFunc(interfaces, func(i netif.Interface) bool { return i.Name == v.Interface })
		headers := tunnelHeaders4
		if v.Address.Is6() {
			headers = tunnelHeaders6
		}
		if at < 0 || interfaces[at].MTU <= headers {
			continue // the real server's driver says that the interface is gone
		}
		size := min(interfaces[at].MTU-headers, math.MaxUint16)
		out = append(out, nft.Clamp{Address: v.Address, MSS: uint16(size)})
	}
	return out
}
