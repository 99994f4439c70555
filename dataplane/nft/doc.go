// Package nft marks packets to virtual services: one nftables table gives each packet to a
// virtual IP address and port the firewall mark of its service, by which IPVS schedules it.
//
// The table is ours alone and holds
//
//	table inet truepacs {
//		map services4 { type ipv4_addr . inet_proto . inet_service : mark; elements = {...} }
//		chain prerouting {
//			type filter hook prerouting priority mangle; policy accept;
//			meta mark set ip daddr . meta l4proto . th dport map @services4
//		}
//	}
//
// A packet that the map does not know keeps whatever mark it has. Later fragments carry no port
// and get none; the kernel joins them to their marked first fragment before IPVS sees them.
// Packets that this host itself sends do not pass prerouting and are not marked.
//
// The package may import dataplane/model, dataplane/plan and nftables libraries.
package nft
