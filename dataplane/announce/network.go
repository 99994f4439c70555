package announce

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Interface is what the announcer must know about an interface.
type Interface struct {
	// Index is the interface's number: another number is another interface of that name.
	Index int
	// MAC is its address.
	MAC MAC
	// Up tells whether the administrator has switched it on.
	Up bool
}

// Network is the host's interfaces. It may be used from several goroutines.
type Network interface {
	// Interface describes an interface; the error wraps ErrNoInterface if there is none of
	// that name or it has no Ethernet address.
	Interface(name string) (Interface, error)
	// OwnMACs returns the addresses of all interfaces of the host.
	OwnMACs() ([]MAC, error)
	// Open returns a port on an interface; one that does not listen never receives.
	Open(name string, listen bool) (Port, error)
}

// Port sends and receives ARP packets on one interface.
type Port interface {
	// Send sends a packet's bytes to every host of the link.
	Send(b []byte) error
	// Receive fills b with the next packet and returns its length; it ends with the context.
	Receive(ctx context.Context, b []byte) (int, error)
	// Close ends the port and what waits in Receive.
	Close() error
}

// ErrNoInterface means that an interface does not exist or is no Ethernet.
var ErrNoInterface = errors.New("there is no Ethernet interface of that name on this host")

// Sockets is the network of the calling thread's network namespace; it needs the capability
// NET_RAW.
type Sockets struct{}

var _ Network = Sockets{}

// Interface implements Network.
func (Sockets) Interface(name string) (Interface, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return Interface{}, fmt.Errorf("interface %q: %w: %w", name, ErrNoInterface, err)
	}
	if len(i.HardwareAddr) != len(MAC{}) || i.Flags&net.FlagLoopback != 0 {
		return Interface{}, fmt.Errorf("interface %q: %w", name, ErrNoInterface)
	}
	return Interface{Index: i.Index, MAC: MAC(i.HardwareAddr), Up: i.Flags&net.FlagUp != 0}, nil
}

// OwnMACs implements Network.
func (Sockets) OwnMACs() ([]MAC, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list interfaces: %w", err)
	}
	var macs []MAC
	for _, i := range all {
		if len(i.HardwareAddr) == len(MAC{}) {
			macs = append(macs, MAC(i.HardwareAddr))
		}
	}
	return macs, nil
}

// Open implements Network. A port that only sends gets a filter that lets nothing in, so that
// the network's ARP packets do not pile up in its buffer.
func (Sockets) Open(name string, listen bool) (Port, error) {
	i, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %q: %w: %w", name, ErrNoInterface, err)
	}
	var config packet.Config
	if !listen {
		nothing, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
		if err != nil {
			return nil, err
		}
		config.Filter = nothing
	}
	conn, err := packet.Listen(i, packet.Datagram, unix.ETH_P_ARP, &config)
	if err != nil {
		return nil, fmt.Errorf("open a packet socket on %s: %w", name, err)
	}
	return socket{conn}, nil
}

type socket struct{ conn *packet.Conn }

// Send implements Port.
func (s socket) Send(b []byte) error {
	everybody := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	_, err := s.conn.WriteTo(b, &packet.Addr{HardwareAddr: everybody})
	return err
}

// Receive implements Port.
func (s socket) Receive(ctx context.Context, b []byte) (int, error) {
	deadline, _ := ctx.Deadline()
	if err := s.conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, func() { _ = s.conn.SetReadDeadline(longAgo()) })
	defer stop()
	n, _, err := s.conn.ReadFrom(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return 0, context.DeadlineExceeded
	}
	return n, err
}

// Close implements Port.
func (s socket) Close() error { return s.conn.Close() }
