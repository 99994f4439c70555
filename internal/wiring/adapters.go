package wiring

import (
	"context"

	"github.com/truepacs/balancer/dataplane/agent"
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

var _ agent.VirtualServer = (*virtualServer)(nil)

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

// Set implements agent.PacketFilter.
func (f packetFilter) Set(ctx context.Context, rules agent.PacketRules) error {
	return f.Driver.Set(ctx, nft.Desired{Services: rules.Services, Guarded: rules.Guarded, Declared: rules.Declared})
}
