package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
)

const (
	// tableTimeout bounds one reading of the table of services; 10,000 take less than a second.
	tableTimeout = 30 * time.Second
	// maxTable is room for a million services; a longer file does not end.
	maxTable = 256 << 20
	// readAtOnce is more than the kernel gives out at a time, one page.
	readAtOnce = 32 << 10
)

// Netlink is IPVS in the network namespace of the thread that first calls it; the files of /proc
// are those of the calling thread, which has to be in the same. The zero value is ready and opens
// its socket when first used. Close it when done.
type Netlink struct {
	mu     sync.Mutex
	client *genl.Client
}

var _ Kernel = (*Netlink)(nil)

// Close closes the socket; the next call opens another.
func (n *Netlink) Close() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.client != nil {
		_ = n.client.Close()
		n.client = nil
	}
}

func (n *Netlink) open() (*genl.Client, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.client == nil {
		c, err := genl.Dial(genl.Config{})
		if err != nil {
			return nil, err
		}
		n.client = c
	}
	return n.client, nil
}

// Counts returns what has been sent through the socket that is open.
func (n *Netlink) Counts() genl.Counts {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.client == nil {
		return genl.Counts{}
	}
	return n.client.Counts()
}

// Loaded implements Kernel. The module shows this file in each network namespace.
func (n *Netlink) Loaded() bool {
	_, err := os.Stat(procfs.TablePath)
	return !errors.Is(err, fs.ErrNotExist)
}

// Table implements Kernel.
func (n *Netlink) Table(ctx context.Context, b []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, tableTimeout)
	defer cancel()
	file, err := openTable(procfs.TablePath)
	if err != nil {
		return b, err
	}
	defer file.Close()
	for {
		if err := ctx.Err(); err != nil {
			return b, fmt.Errorf("ipvs: read %s: %w", procfs.TablePath, err)
		}
		if len(b) > maxTable {
			return b, fmt.Errorf("ipvs: %s has more than %d bytes: it does not end", procfs.TablePath, maxTable)
		}
		if cap(b)-len(b) < readAtOnce {
			b = append(make([]byte, 0, 2*cap(b)+readAtOnce), b...)
		}
		read, err := file.Read(b[len(b) : len(b)+readAtOnce])
		b = b[:len(b)+read]
		if errors.Is(err, io.EOF) {
			return b, nil
		}
		if err != nil {
			return b, fmt.Errorf("ipvs: %w", err)
		}
	}
}

func openTable(path string) (*os.File, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("ipvs: %w: %w", genl.ErrNoModule, err)
	}
	if err != nil {
		return nil, fmt.Errorf("ipvs: %w", err)
	}
	return file, nil
}

// Connections implements Kernel.
func (n *Netlink) Connections(ctx context.Context, visit func(*procfs.Connection) error) error {
	file, err := openTable(procfs.ConnectionsPath)
	if err != nil {
		return err
	}
	defer file.Close()
	return procfs.EachConnection(file, func(c *procfs.Connection) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return visit(c)
	})
}

// Services implements Kernel.
func (n *Netlink) Services(ctx context.Context) ([]genl.Service, error) {
	c, err := n.open()
	if err != nil {
		return nil, err
	}
	return c.Services(ctx)
}

// Service implements Kernel.
func (n *Netlink) Service(ctx context.Context, id genl.ServiceID) (genl.Service, error) {
	c, err := n.open()
	if err != nil {
		return genl.Service{}, err
	}
	return c.Service(ctx, id)
}

// Destinations implements Kernel.
func (n *Netlink) Destinations(ctx context.Context, id genl.ServiceID) ([]genl.Destination, error) {
	c, err := n.open()
	if err != nil {
		return nil, err
	}
	return c.Destinations(ctx, id)
}

// Apply implements Kernel.
func (n *Netlink) Apply(ctx context.Context, changes []genl.Change) []error {
	c, err := n.open()
	if err == nil {
		return c.Apply(ctx, changes)
	}
	results := make([]error, len(changes))
	for i := range results {
		results[i] = err
	}
	return results
}

// Timeouts implements Kernel.
func (n *Netlink) Timeouts(ctx context.Context) (genl.Timeouts, error) {
	c, err := n.open()
	if err != nil {
		return genl.Timeouts{}, err
	}
	return c.Timeouts(ctx)
}

// SetTimeouts implements Kernel.
func (n *Netlink) SetTimeouts(ctx context.Context, t genl.Timeouts) error {
	c, err := n.open()
	if err != nil {
		return err
	}
	return c.SetTimeouts(ctx, t)
}
