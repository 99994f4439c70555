package inspect

import "net/netip"

// WithRates returns the later of two readings with what has grown by per second since the earlier
// one. What was not there then, or began anew, has no rate.
func WithRates(before, after Stats) Stats {
	seconds := after.Time.Sub(before.Time).Seconds()
	if seconds <= 0 {
		return after
	}
	old := index(before)
	out := after
	out.Services = make([]Service, 0, len(after.Services))
	for _, s := range after.Services {
		was, there := old.services[s.id()]
		if there {
			s.Rate = rates(was, s.Total, seconds)
		}
		s.Servers = append([]Server{}, s.Servers...)
		for i := range s.Servers {
			if was, there := old.servers[s.Servers[i].id(&s)]; there {
				s.Servers[i].Rate = rates(was, s.Servers[i].Total, seconds)
			}
		}
		s.Ports = append([]Port{}, s.Ports...)
		for i := range s.Ports {
			if was, there := old.ports[s.Ports[i].id()]; there {
				s.Ports[i].rate(&was, seconds)
			}
		}
		out.Services = append(out.Services, s)
	}
	return out
}

// indexed are totals by what they belong to.
type indexed struct {
	services map[serviceKey]Traffic
	servers  map[serverKey]Traffic
	ports    map[Port]Port // by a Port without figures
}

type serviceKey struct{ balancer, name, family string }

type serverKey struct {
	serviceKey
	address netip.AddrPort
}

func (s *Service) id() serviceKey { return serviceKey{s.Balancer, s.Name, s.Family} }

func (d *Server) id(s *Service) serverKey { return serverKey{s.id(), d.Address} }

func (p *Port) id() Port {
	return Port{Address: p.Address, Protocol: p.Protocol, First: p.First, Last: p.Last}
}

func index(stats Stats) indexed {
	out := indexed{map[serviceKey]Traffic{}, map[serverKey]Traffic{}, map[Port]Port{}}
	for _, s := range stats.Services {
		out.services[s.id()] = s.Total
		for _, d := range s.Servers {
			out.servers[d.id(&s)] = d.Total
		}
		for _, p := range s.Ports {
			out.ports[p.id()] = p
		}
	}
	return out
}

// rates returns nil if a total has begun anew.
func rates(was, now Traffic, seconds float64) *Rates {
	if now.Connections < was.Connections || now.PacketsIn < was.PacketsIn || now.PacketsOut < was.PacketsOut ||
		now.BytesIn < was.BytesIn || now.BytesOut < was.BytesOut {
		return nil
	}
	per := func(before, after uint64) float64 { return float64(after-before) / seconds }
	return &Rates{
		Connections: per(was.Connections, now.Connections), PacketsIn: per(was.PacketsIn, now.PacketsIn),
		PacketsOut: per(was.PacketsOut, now.PacketsOut), BytesIn: per(was.BytesIn, now.BytesIn), BytesOut: per(was.BytesOut, now.BytesOut),
	}
}

func (p *Port) rate(was *Port, seconds float64) {
	if p.Packets < was.Packets || p.Bytes < was.Bytes {
		return
	}
	packets, bytes := float64(p.Packets-was.Packets)/seconds, float64(p.Bytes-was.Bytes)/seconds
	p.PacketRate, p.ByteRate = &packets, &bytes
}
