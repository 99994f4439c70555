// Package realserver makes this host a real server of a direct-routing service: it accepts
// packets to the virtual IP address and stays silent when somebody asks for that address by ARP
// ("the ARP problem").
//
// Before an IPv4 address is added to lo as /32, arp_ignore=1 and arp_announce=2 are set on the
// interface that faces the director and on the others that its segment might hear; never on "all",
// which would change every interface of the host. IPv6 addresses are added to lo as /128 without
// settings: Linux answers neighbour solicitations for addresses of the asked interface only
// (ndisc_recv_ns in net/ipv6/ndisc.c), and asks for neighbours with an address of that interface;
// the tests show both on the wire. The values that were there are written to a file first and
// restored when the last address of that interface goes.
//
// Packets of tunnels (IPIP, IPv6 in IPv6) arrive at the kernel's devices tunl0 and ip6tnl0, which
// take them from any sender; the module behind a device is loaded by asking for the device.
//
// The sysctls are written and read through rtnetlink (IFLA_INET_CONF), so the capability
// NET_ADMIN is enough and /proc/sys may be read-only, as it is in a container.
//
// The package may import dataplane/model, dataplane/plan and dataplane/netif (addresses and
// their markers).
package realserver
