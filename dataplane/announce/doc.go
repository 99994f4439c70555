// Package announce tells the hosts of a network which MAC address a virtual IP address has now,
// and finds out whether another host has it.
//
// An address is announced by gratuitous ARP in two forms: as a request, which RFC 5227 section
// 2.3 asks for, and as a reply, because some devices (modalities with small network stacks,
// firewalls) learn from replies only. Both carry the address as sender and target.
//
// The package may import dataplane/model, logr and the packet socket library.
package announce
