package agent

import (
	"context"
	"net/netip"

	"github.com/truepacs/balancer/dataplane/drain"
	"github.com/truepacs/balancer/dataplane/model"
)

// A driver takes the whole desired set, writes differences only, and is idempotent. Items that
// could not be programmed come back as *model.ItemError, joined; the others are programmed.

// VirtualServer is the kernel's layer 4 load balancer (IPVS).
type VirtualServer interface {
	// Set also sets the idle timeouts, which are the host's; those of 0 stay as they are.
	Set(ctx context.Context, all []model.VirtualService, timeouts model.IPVSTimeouts) error
	// Weights returns the weights that the kernel has, by firewall mark and server address.
	Weights(ctx context.Context) (map[uint32]map[string]int, error)
}

// PacketRules are what the host's packet filter does for the balancer.
type PacketRules struct {
	// Services are those whose packets get their firewall marks.
	Services []model.VirtualService
	// Guarded are addresses of this host on which only what Services and Declared name answers.
	Guarded []netip.Addr
	// Declared is what answers on Guarded addresses beside Services.
	Declared []model.Match
	// Resets are connections through Services that both ends are to be told are over.
	Resets []drain.Flow
	// Tunnelled are the addresses of this real server whose packets come through a tunnel: they
	// offer clients segments that fit into it.
	Tunnelled []model.LoopbackVIP
}

// PacketFilter is the host's packet filter (nftables).
type PacketFilter interface {
	Set(ctx context.Context, rules PacketRules) error
}

// AddressHolder holds virtual IP addresses on interfaces. Those with an item error are not announced.
type AddressHolder interface {
	Set(ctx context.Context, all []model.VirtualIP) error
}

// Announcer tells the neighbours who holds an address (gratuitous ARP).
type Announcer interface {
	Set(ctx context.Context, all []model.VirtualIP) error
}

// RealServerPreparer makes a real server accept virtual IP addresses without answering ARP.
type RealServerPreparer interface {
	Set(ctx context.Context, all []model.LoopbackVIP) error
}

// ProxyFeeder passes sockets and configuration to the layer 7 proxy.
type ProxyFeeder interface {
	Set(ctx context.Context, proxy model.Proxy) error
	State() ProxyState
}

// ProxyState is what the current proxy reports.
type ProxyState struct {
	// Connected says that a proxy is there.
	Connected bool
	// Current says that it runs the newest configuration.
	Current bool
	// Version is its version.
	Version string
	// Refused says why it refused the newest configuration.
	Refused string
	// Verdicts are its health verdicts by target key.
	Verdicts map[string]model.Verdict
}

// Checker checks servers.
type Checker interface {
	// Set replaces the whole set of targets. healthy names the new targets that count as
	// healthy until their checks say otherwise.
	Set(all []model.Target, healthy map[string]bool)
	Verdicts() map[string]model.Verdict
	Close()
}

// Surveyor looks for what keeps services from working outside of what the other drivers do. It may
// take seconds and changes nothing.
type Surveyor interface {
	Survey(ctx context.Context, node model.Node) ([]model.Finding, error)
}

// Drivers are everything an Agent acts through; all but Surveyor are required.
type Drivers struct {
	VirtualServer VirtualServer
	PacketFilter  PacketFilter
	Addresses     AddressHolder
	Announcer     Announcer
	RealServer    RealServerPreparer
	Proxy         ProxyFeeder
	Checker       Checker
	Surveyor      Surveyor
}
