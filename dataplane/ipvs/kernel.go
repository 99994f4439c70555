package ipvs

import (
	"context"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
)

// Kernel is what the driver needs from IPVS. Errors are those of package genl. Kernels may be used
// from several goroutines.
type Kernel interface {
	// Loaded tells whether the kernel has IPVS now; asking does not load it.
	Loaded() bool
	// Table appends the text of /proc/net/ip_vs to b; genl.ErrNoModule if there is none.
	Table(ctx context.Context, b []byte) ([]byte, error)
	// Services returns all services, foreign ones too.
	Services(ctx context.Context) ([]genl.Service, error)
	// Service returns one service, or genl.ErrNoService.
	Service(ctx context.Context, id genl.ServiceID) (genl.Service, error)
	// Destinations returns the destinations of a service, or genl.ErrNoService.
	Destinations(ctx context.Context, id genl.ServiceID) ([]genl.Destination, error)
	// Apply carries out changes in their order and returns what became of each.
	Apply(ctx context.Context, changes []genl.Change) []error
	// Timeouts returns the idle timeouts of connections.
	Timeouts(ctx context.Context) (genl.Timeouts, error)
	// SetTimeouts sets the timeouts; a 0 leaves one as it is.
	SetTimeouts(ctx context.Context, t genl.Timeouts) error
	// Connections visits all connections, one value for all, until visit returns an error.
	Connections(ctx context.Context, visit func(*procfs.Connection) error) error
}
