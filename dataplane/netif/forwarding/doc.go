// Package forwarding lets the kernel of a director pass on what servers of NAT and SNAT services
// send back, and gives the host its settings back when no service needs that any more.
//
// SNAT needs the interfaces that face the servers to forward IPv4 (net.ipv4.conf.NAME.forwarding;
// the kernel asks the interface by which a packet came, __mkroute_input in net/ipv4/route.c); the
// rest of the host does not become a router. With NAT the director is the servers' gateway, for
// connections that they open as well, so the whole host forwards (net.ipv4.ip_forward). IPv6 knows
// the host-wide setting only (net.ipv6.conf.all.forwarding, ip6_forward in net/ipv6/ip6_output.c).
// A host that forwards IPv6 no longer takes its default route from router advertisements unless
// accept_ra is 2 (Documentation/networking/ip-sysctl.rst), so interfaces where it is 1 get 2 first, unless
// they, or the host, forward already: those ignore advertisements on purpose.
//
// With a host-wide setting the kernel writes those of all interfaces, and for IPv4 whether the host
// believes ICMP redirects; what those were is given back as well.
//
// The settings are files, as a pod has them in a mount of the host's /proc/sys/net; what they were
// is written to a file first (dataplane/settings).
//
// The package may import dataplane/settings, logr and the standard library.
package forwarding
