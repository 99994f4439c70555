package inspect

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/model"
)

// Traffic are totals of 64 bits. They begin anew when what they belong to is added again. Out is what
// passes the director on its way to clients: with direct routing and tunnels nothing does.
type Traffic struct {
	Connections uint64 `json:"connections"`
	PacketsIn   uint64 `json:"packetsIn"`
	PacketsOut  uint64 `json:"packetsOut"`
	BytesIn     uint64 `json:"bytesIn"`
	BytesOut    uint64 `json:"bytesOut"`
}

// Rates are what Traffic grew by per second.
type Rates struct {
	Connections float64 `json:"connections"`
	PacketsIn   float64 `json:"packetsIn"`
	PacketsOut  float64 `json:"packetsOut"`
	BytesIn     float64 `json:"bytesIn"`
	BytesOut    float64 `json:"bytesOut"`
}

// Server are a server's figures in one service.
type Server struct {
	Name    string         `json:"name"`
	Address netip.AddrPort `json:"address"`
	Weight  int            `json:"weight"`
	// Active are established connections, Inactive others that are remembered, Persistent the
	// clients that are.
	Active     int     `json:"active"`
	Inactive   int     `json:"inactive"`
	Persistent int     `json:"persistent"`
	Total      Traffic `json:"total"`
	Rate       *Rates  `json:"rate,omitempty"`
}

// Port is what clients have sent to a port or a range of ports of a virtual IP.
type Port struct {
	Address  netip.Addr     `json:"address"`
	Protocol model.Protocol `json:"protocol"`
	First    uint16         `json:"first"`
	Last     uint16         `json:"last"`
	Packets  uint64         `json:"packets"`
	Bytes    uint64         `json:"bytes"`
	// PacketRate and ByteRate are per second; only with rates.
	PacketRate *float64 `json:"packetRate,omitempty"`
	ByteRate   *float64 `json:"byteRate,omitempty"`
}

// Service are the figures of one layer 4 service in one address family.
type Service struct {
	// Balancer is namespace/name, Name the service's in it, or @ and the name of a persistence group.
	Balancer string   `json:"balancer"`
	Name     string   `json:"name"`
	Family   string   `json:"family"`
	Total    Traffic  `json:"total"`
	Rate     *Rates   `json:"rate,omitempty"`
	Ports    []Port   `json:"ports"`
	Servers  []Server `json:"servers"`
}

// Stats are the figures of a director.
type Stats struct {
	// Time is when they were read.
	Time     time.Time `json:"time"`
	Services []Service `json:"services"`
	// Dropped are packets to virtual IPs at ports that nobody declares.
	Dropped uint64 `json:"dropped"`
}

// Stats reads the figures. A host without layer 4 services has none.
func (s *Source) Stats(ctx context.Context) (Stats, error) {
	out := Stats{Time: time.Now(), Services: []Service{}}
	counters, err := s.PacketFilter.Counters(ctx)
	if err != nil {
		return out, err
	}
	out.Dropped = counters.Guarded
	observed := s.Observed()
	if len(observed.Node.Services) == 0 {
		return out, nil
	}
	services, err := s.VirtualServer.Stats(ctx)
	if err != nil {
		return out, err
	}
	ports, err := s.ports(ctx)
	if err != nil {
		return out, err
	}
	for i := range services {
		if services[i].Key != "" { // else it is about to be removed
			out.Services = append(out.Services, serviceOf(&services[i], ports))
		}
	}
	return out, nil
}

type portsOf struct {
	mark uint32
	ipv6 bool
}

func (s *Source) ports(ctx context.Context) (map[portsOf][]Port, error) {
	counted, err := s.PacketFilter.Ports(ctx)
	if err != nil {
		return nil, err
	}
	out := map[portsOf][]Port{}
	for _, p := range counted {
		at := portsOf{p.Mark, p.Address.Is6()}
		out[at] = append(out[at], Port{
			Address: p.Address, Protocol: p.Protocol, First: p.First, Last: p.Last, Packets: p.Packets, Bytes: p.Bytes,
		})
	}
	return out, nil
}

func serviceOf(s *ipvs.ServiceStats, ports map[portsOf][]Port) Service {
	at := strings.LastIndexByte(s.Key, '/')
	out := Service{
		Balancer: s.Key[:max(at, 0)], Name: s.Key[at+1:], Family: "IPv4", Total: traffic(s.Counters),
		Ports: append([]Port{}, ports[portsOf{s.Mark, s.IPv6}]...), Servers: []Server{},
	}
	if s.IPv6 {
		out.Family = "IPv6"
	}
	for _, server := range s.Servers {
		out.Servers = append(out.Servers, Server{
			Name: server.Name, Address: server.Address, Weight: server.Weight, Active: server.Active,
			Inactive: server.Inactive, Persistent: server.Persistent, Total: traffic(server.Counters),
		})
	}
	return out
}

func traffic(c ipvs.Counters) Traffic {
	return Traffic{
		Connections: c.Connections, PacketsIn: c.PacketsIn, PacketsOut: c.PacketsOut, BytesIn: c.BytesIn, BytesOut: c.BytesOut,
	}
}
