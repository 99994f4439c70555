// Package netif puts virtual IP addresses on the interfaces of a director and tells which
// interfaces, addresses and default gateways the host has.
//
// The driver takes the whole set of addresses with every call, adopts what it finds and writes
// only the difference. It knows its own addresses by a Marker in the kernel, so that what a
// deleted service left behind is removed after a restart too, and an address that the
// administrator added is used but never removed.
//
// The package may import dataplane/model, dataplane/plan and netlink libraries. Interfaces and
// addresses of the kernel are also used by dataplane/realserver.
package netif
