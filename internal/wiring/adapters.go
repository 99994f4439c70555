package wiring

import (
	"context"
	"errors"

	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/drain/provoke"
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/keeper"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/nft"
)

// virtualServer is IPVS as the agent sees it; Weights is the driver's.
type virtualServer struct {
	*ipvs.Driver
	used bool // there was a service, so settings may be ours
}

// Set implements agent.VirtualServer. Settings of the host's IPVS are made when there is a
// service, not before: a host without work stays as it is.
func (v *virtualServer) Set(ctx context.Context, all []model.VirtualService, timeouts model.IPVSTimeouts) error {
	if err := v.Driver.Set(ctx, all); err != nil {
		return err
	}
	if len(all) == 0 && !v.used {
		return nil
	}
	v.used = len(all) > 0
	if v.used {
		if err := v.SetTimeouts(ctx, timeouts.TCP, timeouts.TCPFin, timeouts.UDP); err != nil {
			return err
		}
	}
	_, err := v.SetSysctls(ctx)
	return err
}

// EachConnection implements agent.ConnectionTable. Without IPVS there are no connections.
func (v *virtualServer) EachConnection(ctx context.Context, visit func(*drain.Connection)) error {
	timeouts, err := v.Timeouts(ctx)
	if errors.Is(err, ipvs.ErrModuleMissing) {
		return nil
	}
	if err != nil {
		return err
	}
	var c drain.Connection
	return v.Connections(ctx, ipvs.ConnectionFilter{WithoutTemplates: true}, func(found ipvs.Connection) error {
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

// packetFilter is nftables as the agent sees it.
type packetFilter struct{ *nft.Driver }

// Set implements agent.PacketFilter. Connections are reset with the packets of their clients, so
// clients are made to send some.
func (f packetFilter) Set(ctx context.Context, rules agent.PacketRules) error {
	desired := nft.Desired{Services: rules.Services, Guarded: rules.Guarded, Declared: rules.Declared}
	for _, flow := range rules.Resets {
		desired.Resets = append(desired.Resets, nft.Flow{Client: flow.Client, VIP: flow.Virtual})
	}
	return errors.Join(f.Driver.Set(ctx, desired), provoke.All(ctx, rules.Resets))
}
