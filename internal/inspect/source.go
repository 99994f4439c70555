package inspect

import (
	"context"
	"errors"
	"fmt"

	"github.com/truepacs/balancer/dataplane/agent"
	"github.com/truepacs/balancer/dataplane/explain"
	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/nft"
)

// VirtualServer is what is read of IPVS; *ipvs.Driver does it.
type VirtualServer interface {
	Scheduling(ctx context.Context, mark uint32, ipv6 bool) (ipvs.Scheduling, error)
	Connections(ctx context.Context, filter ipvs.ConnectionFilter, visit func(ipvs.Connection) error) error
	Stats(ctx context.Context) ([]ipvs.ServiceStats, error)
}

// PacketFilter is what is read of nftables; *nft.Driver does it.
type PacketFilter interface {
	Ports(ctx context.Context) ([]nft.PortCounter, error)
	Counters(ctx context.Context) (nft.Counters, error)
}

// Source is a running director.
type Source struct {
	// Observed is what its agent has carried out.
	Observed func() agent.Observed
	// VirtualServer and PacketFilter are its kernel's.
	VirtualServer VirtualServer
	PacketFilter  PacketFilter
}

var (
	_ VirtualServer = (*ipvs.Driver)(nil)
	_ PacketFilter  = (*nft.Driver)(nil)
)

// errStarting is the answer before the agent's first pass.
var errStarting = errors.New("the agent has just started and is still looking at this host: ask again in a few seconds")

// Explain says what a client would get now.
func (s *Source) Explain(ctx context.Context, q explain.Question) (explain.Answer, error) {
	observed := s.Observed()
	if observed.Revision == 0 {
		return explain.Answer{}, errStarting
	}
	place := explain.Locate(&observed.Node, q.To, q.Protocol)
	facts := explain.Facts{Node: &observed.Node, Refused: map[string]string{}, Verdicts: observed.Verdicts}
	for key, refused := range observed.Refused {
		facts.Refused[key] = refused.Err.Error()
	}
	if place.Service != nil {
		if err := s.kernel(ctx, q, place, &facts); err != nil {
			return explain.Answer{}, err
		}
	}
	return explain.Decide(q, place, facts), nil
}

// kernel reads what the kernel has for a question about a layer 4 service.
func (s *Source) kernel(ctx context.Context, q explain.Question, place explain.Place, facts *explain.Facts) error {
	now, err := s.VirtualServer.Scheduling(ctx, place.Service.Mark, place.Service.IPv6())
	if errors.Is(err, genl.ErrNoService) || errors.Is(err, genl.ErrNoModule) {
		return nil // the answer says so
	}
	if err != nil {
		return err
	}
	facts.Scheduling = &now
	if q.Client.Port() == 0 && now.Persistence == nil {
		return nil
	}
	err = s.VirtualServer.Connections(ctx, ipvs.ConnectionFilter{Key: place.Service.Key}, func(c ipvs.Connection) error {
		if explain.Concerns(q, now.Persistence, &c) {
			facts.Held = append(facts.Held, c)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("who is connected: %w", err)
	}
	return nil
}
