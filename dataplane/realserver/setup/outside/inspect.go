package outside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/truepacs/balancer/dataplane/announce"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/realserver/setup"
)

// Answer is what a server says to the first packet of a TCP connection.
type Answer int

// Answers.
const (
	// Silent: nothing came back in time.
	Silent Answer = iota
	// Open: somebody listens.
	Open
	// Closed: the server takes packets for the address, but nobody listens.
	Closed
)

// Segment is the network between this host and the server.
type Segment interface {
	// Resolve returns the MAC address of a host; the error wraps announce.ErrNoAnswer if it has none.
	Resolve(ctx context.Context, address netip.Addr) (net.HardwareAddr, error)
	// Holders returns the MAC addresses of the other hosts that answer for an address.
	Holders(ctx context.Context, address netip.Addr) ([]net.HardwareAddr, error)
	// Knock sends the first packet of a TCP connection for each port of an address to one host,
	// and returns what that host answers; ports that are missing are Silent.
	Knock(ctx context.Context, to net.HardwareAddr, address netip.Addr, ports []uint16) (map[uint16]Answer, error)
}

// oftenOpen are ports that many servers listen on and few balancers declare: SSH, HTTP, HTTPS, RPC
// and RDP, and one that nobody listens on.
func oftenOpen() []uint16 { return []uint16{22, 80, 111, 135, 443, 3389, 47} }

// perRange is how many ports of a declared range are tried; who knows which of them are in use.
const perRange = 32

// Inspect tells what about a server is not as a real server of the Spec has to be, as far as it can
// be seen from outside. ErrTunnel is returned for tunnels. The result is in a fixed order.
func Inspect(ctx context.Context, spec setup.Spec, server netip.Addr, segment Segment) ([]setup.Finding, error) {
	if spec.Method == setup.Tunnel {
		return nil, ErrTunnel
	}
	mac, err := segment.Resolve(ctx, server)
	if errors.Is(err, announce.ErrNoAnswer) {
		return []setup.Finding{{
			Kind: setup.NothingToInspect, Severity: setup.Broken, Subject: server.String(),
			Message: fmt.Sprintf("no host answers for %s on this segment, so nothing can be passed to it by direct routing", server),
			Remedy:  "switch the server on, put it on the director's network, or use mode L4Tunnel or L4NAT",
		}}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("outside: %w", err)
	}
	var found []setup.Finding
	for _, v := range spec.VIPs {
		of, err := inspectVIP(ctx, v, server, mac, segment)
		if err != nil {
			return nil, fmt.Errorf("outside: %w", err)
		}
		found = append(found, of...)
	}
	return found, nil
}

// ErrTunnel means that a server of mode L4Tunnel was to be inspected.
var ErrTunnel = errors.New("tunnels cannot be looked into from outside: run realserver-check on the server itself")

func inspectVIP(ctx context.Context, v setup.VIP, server netip.Addr, mac net.HardwareAddr, segment Segment) ([]setup.Finding, error) {
	holders, err := segment.Holders(ctx, v.Address)
	if err != nil {
		return nil, err
	}
	declared, others := portsOf(v)
	answers, err := segment.Knock(ctx, mac, v.Address, slices.Concat(flat(declared), others))
	if err != nil {
		return nil, err
	}
	j := judge{vip: v.Address, server: server, mac: mac, answers: answers}
	if slices.ContainsFunc(holders, func(h net.HardwareAddr) bool { return bytes.Equal(h, mac) }) {
		j.answersARP()
	}
	j.ports(declared, others)
	return j.found, nil
}

// portsOf returns the TCP ports to try, declared ones by entry, and undeclared ones.
func portsOf(v setup.VIP) (declared [][]uint16, others []uint16) {
	others = oftenOpen()
	for _, p := range v.Ports {
		if p.Protocol != model.TCP {
			continue
		}
		last := max(p.First, p.Last)
		var some []uint16
		for n := int(p.First); n <= int(last) && len(some) < perRange; n++ {
			some = append(some, uint16(n))
		}
		declared = append(declared, some)
		others = slices.DeleteFunc(others, func(n uint16) bool { return n >= p.First && n <= last })
	}
	return declared, others
}

func flat(all [][]uint16) []uint16 { return slices.Concat(all...) }

// judge decides about one virtual address.
type judge struct {
	vip, server netip.Addr
	mac         net.HardwareAddr
	answers     map[uint16]Answer
	found       []setup.Finding
}

func (j *judge) find(kind string, severity setup.Severity, subject, remedy, format string, args ...any) {
	j.found = append(j.found, setup.Finding{Kind: kind, Severity: severity, Subject: subject, Message: fmt.Sprintf(format, args...), Remedy: remedy})
}

const onServer = "on the server, run the script of realserver-setup with --apply, then realserver-check"

func (j *judge) answersARP() {
	j.find(setup.VIPAnswersARP, setup.Broken, j.vip.String(), onServer+
		"; until then: sysctl -w net.ipv4.conf.INTERFACE.arp_ignore=1 net.ipv4.conf.INTERFACE.arp_announce=2, and no virtual address on another interface than lo",
		"%s (%s) answers when somebody asks who has %s, and takes clients away from the load balancer", j.server, j.mac, j.vip)
}

// ports compares the answers with what is declared. A server that says nothing at any port does
// not take packets for the address.
func (j *judge) ports(declared [][]uint16, others []uint16) {
	if len(j.answers) == 0 {
		if len(declared) > 0 {
			j.find(setup.VIPMissing, setup.Broken, j.vip.String(), onServer,
				"%s throws packets for %s away: the address is not on its lo, or its firewall drops them", j.server, j.vip)
		}
		return
	}
	for _, ports := range declared {
		subject := fmt.Sprintf("%s port %d/TCP", j.vip, ports[0])
		switch {
		case slices.ContainsFunc(ports, func(n uint16) bool { return j.answers[n] == Open }):
		case slices.ContainsFunc(ports, func(n uint16) bool { return j.answers[n] == Closed }):
			j.find(setup.NobodyListens, setup.Broken, subject, "start the PACS, and let it listen on all addresses (0.0.0.0 and ::) or on the virtual one",
				"no program of %s waits for clients at %s", j.server, subject)
		default:
			j.find(setup.PortSilent, setup.Broken, subject, "on the server, let the port through: nft list ruleset shows the rules; a prepared server has to be prepared again when ports are added",
				"%s drops what comes to %s, though not to other ports", j.server, subject)
		}
	}
	answering := slices.DeleteFunc(others, func(n uint16) bool { return j.answers[n] == Silent })
	if len(answering) > 0 {
		j.find(setup.UndeclaredPortsAnswer, setup.Doubtful, j.vip.String(), onServer,
			"%s answers on %s at ports that are not declared, %d for example", j.server, j.vip, answering[0])
	}
}
