package setup

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif"
	"github.com/truepacs/balancer/dataplane/realserver"
)

// HostReader reads the Linux host of the calling thread's network namespace. It needs no right
// but CAP_NET_ADMIN for the firewall. Whether an IPv6 socket takes IPv4 too is not in what it reads; it says yes, as is the default.
type HostReader struct{}

var _ Reader = HostReader{}

// Read implements Reader.
func (HostReader) Read(ctx context.Context, named []string) (Host, error) {
	if err := ctx.Err(); err != nil {
		return Host{}, err
	}
	kernel := netif.Rtnetlink{}
	links, err := kernel.Links()
	if err != nil {
		return Host{}, err
	}
	addresses, err := kernel.Addresses()
	if err != nil {
		return Host{}, err
	}
	host := Host{Addresses: addressesOf(addresses)}
	if len(named) == 0 {
		gateways, err := kernel.Gateways()
		if err != nil {
			return Host{}, err
		}
		named = audible(links, addresses, gateways)
	}
	if host.Interfaces, err = interfacesOf(links, named); err != nil {
		return Host{}, err
	}
	host.Firewall = readFirewall()
	host.AfterReboot = startsAtBoot()
	host.Sockets, err = sockets()
	return host, err
}

// startsAtBoot tells whether systemd is told to start the script's unit.
func startsAtBoot() bool {
	_, err := os.Stat("/etc/systemd/system/multi-user.target.wants/truepacs-realserver.service")
	return err == nil
}

func addressesOf(all []netif.Address) []Address {
	var found []Address
	for _, a := range all {
		found = append(found, Address{Interface: a.Interface, Prefix: a.Prefix, Deprecated: a.Passive})
	}
	return found
}

func interfacesOf(links []netif.Link, audible []string) ([]Interface, error) {
	sysctls := realserver.Rtnetlink{}
	all, err := sysctls.All()
	if err != nil {
		return nil, err
	}
	allFilter, err := rpFilter("all")
	if err != nil {
		return nil, err
	}
	var found []Interface
	for _, l := range links {
		own, err := sysctls.Get(l.Index)
		if err != nil {
			continue // gone meanwhile, or without IPv4
		}
		filter, err := rpFilter(l.Name)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		found = append(found, Interface{
			Name: l.Name, MTU: l.MTU, Up: l.Up, Audible: slices.Contains(audible, l.Name),
			ARPIgnore: max(all.ArpIgnore, own.ArpIgnore), ARPAnnounce: max(all.ArpAnnounce, own.ArpAnnounce),
			RPFilter: max(allFilter, filter),
		})
	}
	return found, nil
}

// audible returns the interfaces that the director's segment could hear if nobody names them: those
// that the agent would silence if the ways to the default gateways faced the director.
func audible(links []netif.Link, addresses []netif.Address, gateways []netif.Gateway) []string {
	byName := map[string]netif.Link{}
	anybody := []model.LoopbackVIP{{Address: netip.AddrFrom4([4]byte{0, 0, 0, 1})}}
	for _, l := range links {
		byName[l.Name] = l
		if slices.ContainsFunc(gateways, func(g netif.Gateway) bool { return g.Index == l.Index }) {
			anybody = append(anybody, model.LoopbackVIP{Address: anybody[0].Address, Interface: l.Name})
		}
	}
	return realserver.Audible(byName, addresses, anybody)
}

func rpFilter(name string) (int, error) {
	b, err := os.ReadFile("/proc/sys/net/ipv4/conf/" + name + "/rp_filter")
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(b)))
}

// States of sockets that wait for clients (linux/net/tcp_states.h): TCP_LISTEN, and for UDP
// TCP_CLOSE, which is what an unconnected one has.
const (
	stateListen      = "0A"
	stateUnconnected = "07"
)

func sockets() ([]Socket, error) {
	var found []Socket
	for name, want := range map[string]struct {
		protocol model.Protocol
		state    string
	}{
		"tcp": {model.TCP, stateListen}, "tcp6": {model.TCP, stateListen}, "udp": {model.UDP, stateUnconnected}, "udp6": {model.UDP, stateUnconnected},
	} {
		file, err := os.Open("/proc/thread-self/net/" + name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, err
		}
		err = readSockets(bufio.NewScanner(file), want.state, func(a netip.AddrPort) {
			found = append(found, Socket{Protocol: want.protocol, Address: a.Addr(), Port: a.Port()})
		})
		_ = file.Close()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
	}
	return found, nil
}

// readSockets reads a table of sockets (Documentation/networking/proc_net_tcp.rst of the kernel).
func readSockets(lines *bufio.Scanner, state string, each func(netip.AddrPort)) error {
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) < 4 || words[3] != state {
			continue
		}
		a, err := parseSocketAddress(words[1])
		if err != nil {
			return err
		}
		each(a)
	}
	return lines.Err()
}

// parseSocketAddress reads "640200C0:0068": an address as words of the machine's byte order, and a
// port.
func parseSocketAddress(s string) (netip.AddrPort, error) {
	address, port, _ := strings.Cut(s, ":")
	b, err := hex.DecodeString(address)
	if err != nil || len(b)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("socket address %q cannot be read", s)
	}
	for i := 0; i < len(b); i += 4 {
		binary.NativeEndian.PutUint32(b[i:], binary.BigEndian.Uint32(b[i:]))
	}
	a, ok := netip.AddrFromSlice(b)
	n, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, fmt.Errorf("socket address %q cannot be read", s)
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}
