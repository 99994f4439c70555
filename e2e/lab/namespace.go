package lab

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/e2e/lab/agent"
	"github.com/truepacs/balancer/e2e/lab/guest"
)

// Namespace is a host made of network, mount, UTS, IPC and PID namespaces on the
// machine's own kernel. It sees the machine's files, so any program is there; what
// it writes to /run, /etc, /home, /mnt, /opt, /root, /srv, /tmp and /var is its own
// and gone with the lab.
type Namespace struct {
	host
	pid   int // of its first process, as the test sees it
	net   netns.NsHandle
	links *netlink.Handle
}

var _ Host = (*Namespace)(nil)

// Namespace makes a host of namespaces.
func (l *Lab) Namespace(name string, nics ...NIC) (*Namespace, error) {
	n, err := l.newNamespace(name, nics)
	if err != nil {
		return nil, fmt.Errorf("lab: host %s: %w", name, err)
	}
	l.log("host %s is a namespace, process %d", name, n.pid)
	return n, nil
}

// Router makes a host of namespaces that forwards between its networks.
func (l *Lab) Router(name string, nics ...NIC) (*Namespace, error) {
	n, err := l.Namespace(name, nics...)
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"} {
		result, err := n.Run(l.ctx, "sh", "-c", "echo 1 > /proc/sys/"+key)
		if err != nil || result.ExitCode != 0 {
			return nil, fmt.Errorf("lab: router %s: set %s: %w: %s", name, key, err, result.Stderr)
		}
	}
	return n, nil
}

func (l *Lab) newNamespace(name string, nics []NIC) (*Namespace, error) {
	if err := l.claim(name); err != nil {
		return nil, err
	}
	ports, err := l.plan(nics)
	if err != nil {
		return nil, err
	}
	socket := name + ".sock"
	n := &Namespace{host: host{lab: l, name: name, ports: ports, client: agent.NewClient(l.unixDialer(socket))}, net: netns.None()}
	if err := n.startFirst(socket); err != nil {
		return nil, err
	}
	if err := n.open(socket); err != nil {
		return nil, err
	}
	context.AfterFunc(l.ctx, n.close)
	return n, n.connect()
}

// startFirst starts the host's first process and waits for it.
func (n *Namespace) startFirst(socket string) error {
	var stderr bytes.Buffer
	first, err := n.lab.world.Start(n.lab.ctx, agent.Spec{
		Argv:   []string{n.lab.guest, guest.RoleHost, n.name, filepath.Join(n.lab.dir, socket)},
		Stderr: &stderr, Isolate: true,
	})
	if err != nil {
		return err
	}
	answers := make(chan error, 1)
	go func() { answers <- n.lab.awaitAgent(n.client, "host "+n.name) }()
	select {
	case err := <-answers:
		return err
	case <-first.Done():
		return fmt.Errorf("its first process ended: %s", stderr.String())
	}
}

func (n *Namespace) open(socket string) error {
	var err error
	if n.pid, err = n.lab.peerPID(socket); err != nil {
		return err
	}
	if n.net, err = netns.GetFromPath(fmt.Sprintf("/proc/%d/ns/net", n.pid)); err != nil {
		return fmt.Errorf("open its network namespace: %w", err)
	}
	if n.links, err = netlink.NewHandleAt(n.net, unix.NETLINK_ROUTE); err != nil {
		_ = n.net.Close()
		return fmt.Errorf("rtnetlink in its namespace: %w", err)
	}
	return nil
}

func (n *Namespace) close() {
	n.links.Close()
	_ = n.net.Close()
}

// connect plugs the interfaces in.
func (n *Namespace) connect() error {
	wanted := make([]guest.NIC, 0, len(n.ports))
	n.lab.mu.Lock()
	defer n.lab.mu.Unlock()
	for _, p := range n.ports {
		if err := n.addPair(p); err != nil {
			return err
		}
		wanted = append(wanted, p.nic)
	}
	return guest.ConfigureAll(n.links, wanted)
}

func (n *Namespace) addPair(p port) error {
	mac, err := net.ParseMAC(p.nic.MAC)
	if err != nil {
		return err
	}
	attributes := netlink.NewLinkAttrs()
	attributes.Name, attributes.MTU = p.link, p.netw.mtu
	pair := &netlink.Veth{
		LinkAttrs: attributes, PeerName: p.link, PeerHardwareAddr: mac, PeerNamespace: netlink.NsFd(int(n.net)),
	}
	if err := n.lab.links.LinkAdd(pair); err != nil {
		return fmt.Errorf("interface %s: %w", p.nic.Name, err)
	}
	return n.lab.plug(p.link, p.netw.index)
}

// Dial opens a connection from within the host. The address must be numeric.
func (n *Namespace) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var conn net.Conn
	err := within(n.net, func() error {
		var dialer net.Dialer
		dialer.SetMultipathTCP(false)
		var err error
		conn, err = dialer.DialContext(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lab: %s: %w", n.name, err)
	}
	return conn, nil
}

// Listen listens in the host for connections; the test accepts them.
func (n *Namespace) Listen(ctx context.Context, network, address string) (net.Listener, error) {
	var listener net.Listener
	err := within(n.net, func() error {
		var config net.ListenConfig
		config.SetMultipathTCP(false)
		var err error
		listener, err = config.Listen(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lab: %s: %w", n.name, err)
	}
	return listener, nil
}

// Serve listens in the host until ctx ends. Handle has each connection in a goroutine of its own; the connection is
// closed when it returns, or when ctx ends.
func (n *Namespace) Serve(ctx context.Context, network, address string, handle func(net.Conn)) error {
	listener, err := n.Listen(ctx, network, address)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, func() { _ = listener.Close() })
	go func() {
		for conn, err := listener.Accept(); err == nil; conn, err = listener.Accept() {
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			go func() {
				handle(conn)
				if stop() {
					_ = conn.Close()
				}
			}()
		}
	}()
	return nil
}

// ListenPacket is Listen for datagrams.
func (n *Namespace) ListenPacket(ctx context.Context, network, address string) (net.PacketConn, error) {
	var conn net.PacketConn
	err := within(n.net, func() error {
		var config net.ListenConfig
		var err error
		conn, err = config.ListenPacket(ctx, network, address)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("lab: %s: %w", n.name, err)
	}
	return conn, nil
}

// Path returns a file of the host as the test can open it while the host runs.
func (n *Namespace) Path(path string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", n.pid), path)
}

// Enter runs f on a thread in the host's network namespace: sockets that f opens
// belong to the host. F must not start goroutines that open sockets.
func (n *Namespace) Enter(f func() error) error {
	return within(n.net, f)
}
