// Package direct opens TCP connections to a virtual IP address on one chosen real server: frames with
// destination VIP and that server's MAC address, as direct routing (IPVS, IP_VS_CONN_F_DROUTE) sends
// them. It works alike whether this host holds the VIP or not.
//
// How: the socket is connected to an alias, an address out of [Config.Pool4] or Pool6 that stands
// for one pair of VIP and server. A host route sends the alias to the server (which gives the MAC
// address); a rule behind all routing puts the VIP in as destination, a rule before all routing
// puts the alias in as source of the replies. No packet on the wire bears an alias. The alias is
// chosen so that its sixteen-bit sum is that of the VIP (as RFC 6296 section 3.1 does with
// prefixes): no TCP checksum changes, whoever computes it, the kernel or the card. The replies
// reach the routing decision with a source that is not ours, so neither accept_local nor a looser
// rp_filter is needed; IPVS never sees the VIP as destination on this host, so it makes no entry.
// Probes have a hop limit of 1: a server without the VIP that forwards cannot pass one on.
//
// The package owns the tables "truepacs_direct" of nftables (ip and ip6) and the routes of protocol
// 84 into the pools. It needs CAP_NET_ADMIN. Of this module it may import dataplane/health only.
package direct
