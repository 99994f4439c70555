// Package procfs reads the two tables that IP Virtual Server shows in /proc: ip_vs, with services
// and destinations, and ip_vs_conn, with connections (net/netfilter/ipvs/ip_vs_ctl.c and
// ip_vs_conn.c).
//
// One read of ip_vs costs a fraction of a netlink dump for each service. It serves to find out
// which of many services are not as they should be; those alone need a dump. The file does not
// have everything. Of a service it lacks
//
//   - the address family, if it is one by firewall mark: the kernel prints marks 1 of IPv4 and of
//     IPv6 alike;
//   - its flags but two: the scheduler's flags (fallback, port) never, one-packet not for an IPv6
//     address;
//   - timeout and client mask, unless it is persistent; the timeout is in ticks of the kernel's
//     clock, of which a program cannot learn the rate here (see Ticks);
//   - the persistence engine, and all counters and rates.
//
// Of a destination it lacks both thresholds, the tunnel's type, port and flags, the number of
// persistent clients, and all counters and rates. Forwarding method Bypass is shown as Masq.
//
// The file is not to be taken for the truth about what is there either. It is read a page at a
// time and the kernel finds its place again by counting; while other programs add and remove
// services, some can be missing or come twice. Where other network namespaces of the host have
// IPVS services, too, the kernel counts those in one place and leaves them out in another, and
// services go missing although nothing changes. So take the list of services from one netlink dump
// and the destinations of each from here; a service that is not here, or comes twice, needs a dump
// of its own.
//
// Parsers take the kernel's exact form and nothing else, hold one service or connection at a time,
// and have limits for everything. The package may import the standard library only.
package procfs
