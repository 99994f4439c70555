// Package nft is the firewall table of a host: it marks packets to virtual services, by which IPVS
// schedules them, and does what else a packet filter has to do for them.
//
// The table is ours alone. It has the parts that the host needs, see Shape; each set and map is
// there for IPv4 (4) and IPv6 (6):
//
//	table inet truepacs {
//		# director
//		map services4 { type ipv4_addr . inet_proto . inet_service : mark; counter; }          # a hash
//		map ranges4 { type ipv4_addr . inet_proto . inet_service : mark; flags interval; counter; }
//		chain raw { type filter hook prerouting priority raw;
//			ip daddr . meta l4proto . th dport @untracked4 notrack
//			ip saddr . meta l4proto . th sport @untracked4 update @through4 { ip saddr . ether saddr . ip daddr timeout 4s } }
//		chain rawoutput { type filter hook output priority raw;
//			ip saddr . meta l4proto . th sport @untracked4 notrack }
//		chain prerouting { type filter hook prerouting priority mangle;
//			ether saddr @peers accept
//			meta mark set ip daddr . meta l4proto . th dport map @services4 accept
//			meta mark set ip daddr . meta l4proto . th dport map @ranges4 accept }
//		chain disconnect { type filter hook input priority filter;
//			tcp flags & (syn|rst) == 0 ip saddr . tcp sport . ip daddr . tcp dport @resets4
//				ip saddr . tcp sport . ip daddr . tcp dport != @told4 update @told4 { ... timeout 5s }
//				tcp flags set rst|ack accept
//			tcp flags & (syn|rst) == 0 ip saddr . tcp sport . ip daddr . tcp dport @resets4
//				counter reject with tcp reset }
//		chain marks { type filter hook input priority 97;
//			ether saddr @peers accept
//			tcp flags != syn / syn,ack accept
//			meta mark @marks accept
//			meta l4proto { icmp, ipv6-icmp } accept
//			ip daddr @balanced4 update @unmarked4 { ip daddr . meta l4proto . th dport timeout 4s } }
//		# director with SNAT services
//		chain postrouting { type nat hook postrouting priority srcnat;
//			meta mark @masquerade4 ip daddr != @virtual4 counter masquerade }
//		# director with NAT services
//		chain redirects { type filter hook output priority filter;
//			icmp type redirect ip daddr @behind4 counter drop
//			icmpv6 type nd-redirect ip6 daddr @behind6 counter drop }
//		# whoever holds virtual addresses
//		chain ownsource { type filter hook input priority -1;
//			ip saddr @guarded4 iiftype ether meta l4proto tcp drop }
//		chain guard { type filter hook input priority 150;
//			ip daddr != @guarded4 accept
//			meta l4proto { icmp, ipv6-icmp } accept
//			frag frag-off != 0 accept
//			ip daddr . meta l4proto . th dport @open4 accept
//			ip saddr . udp sport . ip daddr . udp dport @answers4 accept
//			tcp flags != syn / syn,ack ip daddr . meta l4proto . tcp dport @closing4 accept
//			tcp flags != syn / syn,ack socket wildcard 1 counter drop
//			tcp flags != syn / syn,ack socket transparent { 0, 1 } accept
//			counter drop }
//		chain ask { type filter hook output priority filter;
//			ip saddr . meta l4proto . udp sport @open4 accept
//			ip saddr @guarded4 update @answers4 { ip daddr . udp dport . ip saddr . udp sport timeout 2m } }
//		# real server
//		chain clamp4 { type filter hook output priority mangle;
//			tcp flags syn,ack / syn,ack ip saddr @clamp4 tcp option maxseg size set 1440 }
//	}
//
// # Marks
//
// A packet that the maps do not know keeps whatever mark it has. Later fragments carry no port and
// get none; the kernel joins them to their marked first fragment before IPVS sees them. Packets
// that this host itself sends do not pass prerouting and are not marked. Single ports are in a
// hash, however many services there are; only packets that it does not know are looked up among
// the ranges.
//
// Each element of the two maps counts the packets that it marks: that is what came to a port. The
// counters are 64 bits wide and begin anew when their element is added, or the table is rebuilt.
//
// # Connection tracking
//
// Services of direct routing and tunnels are not tracked, whoever asked the kernel to track: the
// director sees one half of their connections. Only a host with a SNAT service asks for it
// itself, by the chain of type nat. ICMP is left alone.
//
// # Source NAT
//
// IPVS translates the destination in NF_INET_LOCAL_IN and sends the packet through LOCAL_OUT and
// POST_ROUTING with the mark it had (ip_vs_nat_xmit, net/netfilter/ipvs/ip_vs_xmit.c); there the
// packet's destination is the server and no virtual address. Masquerading then needs
// net.ipv4.vs.conntrack=1, by which IPVS tells connection tracking whose answer to expect
// (ip_vs_update_conntrack), and forwarding for the way back; neither is set here. A
// service that has a NAT and a SNAT server masquerades for both.
//
// # What packets show
//
// Replies of direct routing and tunnels that come here show that a server has this host as its
// gateway; the kernel itself drops them without a word, for their source is an address of this
// host. Marks that were changed between our prerouting and IPVS show a program that rewrites marks.
// Both are noted in sets whose elements last four seconds; Seen reads them.
//
// # Guard
//
// Packets to what nobody declares are dropped, not rejected: an answer would tell a scanner that
// the address is alive, would go to whomever a forged packet names, and would end the attempts of
// a client that comes while a change is under way, which else get through a second later. The
// price is that a client with a wrong port waits for its timeout; Counters shows the drops. IPVS
// takes packets before the guard; what it delivers to this host is declared as the service is.
// Connections of the host itself pass without connection tracking: TCP packets for which it has a
// socket that does not only listen, and answers to UDP for two minutes. What else comes of TCP to a port
// that is not declared is dropped whatever its flags, lest a reset tell a scanner of the host. For an
// hour after a port was declared that is no more, packets but first ones still reach the host: it
// tells clients whose connections went with a service that they are over. Everything but TCP, UDP and
// ICMP is dropped. docs/adr/0013-guard.md says more.
//
// TCP packets that come in with an address of this host as source are dropped before IPVS sees them:
// answers to what package preflight asks servers.
//
// # Passes without change
//
// The kernel numbers the states of its rules. As long as the number is the one at which the table was
// last found to be as desired, and the same is desired, nothing is read.
//
// # Resets
//
// With direct routing nothing of the server passes here, so what both ends are told is made of what
// the client sends. Its first packet is turned into a reset and goes on to IPVS, which takes it to the
// server by whatever way of forwarding and closes its own entry; the next ones are answered with a
// reset. The server is told again each five seconds, in case a packet was lost. A client that is silent
// must be made to send (see package provoke).
//
// The package may import dataplane/model, dataplane/plan and nftables libraries.
package nft
