// Package realserver makes this host a real server of a direct-routing service: it accepts
// packets to the virtual IP address and stays silent when somebody asks for that address by ARP
// ("the ARP problem").
//
// Before an address is added to lo as /32, arp_ignore=1 and arp_announce=2 are set on the
// interface that faces the director; never on "all", which would change every interface of the
// host. The values that were there are written to a file first and restored when the last
// address of that interface goes.
//
// The sysctls are written and read through rtnetlink (IFLA_INET_CONF), so the capability
// NET_ADMIN is enough and /proc/sys may be read-only, as it is in a container.
//
// The package may import dataplane/model, dataplane/plan and dataplane/netif (addresses and
// their markers).
package realserver
