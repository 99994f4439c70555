// Package announce tells the hosts of a network which MAC address a virtual IP address has now,
// and finds out whether another host has it.
//
// An address is announced by gratuitous ARP in two forms: as a request, which RFC 5227 section
// 2.3 asks for, and as a reply, because some devices (modalities with small network stacks,
// firewalls) learn from replies only. Both carry the address as sender and target.
//
// For IPv6 it is announced by an unsolicited neighbour advertisement to all nodes (RFC 4861
// section 7.2.6), and asked for by a neighbour solicitation.
//
// The package may import dataplane/model, logr and the packet socket library.
package announce
