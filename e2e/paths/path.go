package paths

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/truepacs/balancer/e2e/flow"
	"github.com/truepacs/balancer/e2e/site"
)

// Path is a way through the balancer; its value is the port of its service.
type Path int

// The paths: L4DR in the kernel and L7SNAT in the proxy.
const (
	Direct  Path = flow.Port
	Proxied Path = 7107
)

// Both returns the paths.
func Both() []Path { return []Path{Direct, Proxied} }

func (p Path) String() string {
	if p == Direct {
		return "direct routing"
	}
	return "the proxy"
}

// Balancer returns a TruePACSBalancer "flows" with one service on each path to the same flow
// servers, the hosts 192.0.2.11 and 192.0.2.12. Directors are named on hosts without Kubernetes.
func Balancer(directors ...string) string {
	var named strings.Builder
	for _, name := range directors {
		fmt.Fprintf(&named, "\n  directors: {peers: [{name: %s}]}", name)
	}
	return `apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: flows}
spec:` + named.String() + `
  virtualIPs: [{name: main, address: ` + site.VIP + `}]
  serverPools:
  - name: direct
    servers: [{name: pacs-a, address: 192.0.2.11}, {name: pacs-b, address: 192.0.2.12}]
  - name: proxied
    port: 7007
    servers: [{name: pacs-a, address: 192.0.2.11}, {name: pacs-b, address: 192.0.2.12}]
  virtualServices:
  - {name: direct, virtualIPs: [main], mode: L4DR, ports: [7007], serverPool: direct, layer4: {scheduler: RoundRobin}}
  - {name: proxied, virtualIPs: [main], mode: L7SNAT, ports: [7107], serverPool: proxied, layer7: {application: TCP, algorithm: RoundRobin}}
`
}

// Client is a host from which connections are opened.
type Client interface {
	Dial(ctx context.Context, network, address string) (net.Conn, error)
}

// dialTimeout is for hosts that share an emulated processor.
const dialTimeout = 30 * time.Second

// Dial opens connections from a client through the path.
func (p Path) Dial(client Client) flow.Dial {
	return func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		return client.Dial(ctx, "tcp", fmt.Sprintf("%s:%d", site.VIP, int(p)))
	}
}

// Ping opens a connection, exchanges a few bytes and closes it.
func (p Path) Ping(ctx context.Context, client Client) error {
	c, err := p.Dial(client)(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	return Ping(c)
}

// Ping exchanges a few bytes with a flow server on a new connection.
func Ping(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return err
	}
	if _, err := c.Write([]byte("E?")); err != nil {
		return err
	}
	var back [1]byte
	_, err := io.ReadFull(c, back[:])
	return err
}

// Try opens a connection that exchanges a few bytes, and one with a small transfer.
func (p Path) Try(ctx context.Context, client Client) error {
	f, err := flow.Start(ctx, p.Dial(client), flow.Options{Name: "a new connection", Connections: 1, Bytes: 1000, Rate: 1 << 20})
	if err != nil {
		return err
	}
	return f.Finish(ctx)
}
