// Package ipvs programmes the kernel's layer 4 load balancer (IP Virtual Server).
//
// Each virtual service is an IPVS service by firewall mark and address family; the marks are set
// by dataplane/nft. Services whose mark lies in our range are ours, all others belong to somebody
// else (kube-proxy, the administrator) and are never touched. The driver takes the whole set with
// every call, adopts what it finds, writes only the difference and changes services in place, so
// that no connection is lost.
//
// # How it knows what is there
//
// The first call reads everything by netlink: one list of the services, one of each of ours'
// destinations. From then on the driver remembers what it read and wrote, and holds that against
// /proc/net/ip_vs, which is one file however many services there are. While the file is byte for
// byte what it was when it was last understood, connections aside, nothing is parsed. What is not in
// the file as it is remembered, too little or too much, is read by netlink; so is, with each call, what
// the file leaves out although it is there. What the file never
// shows (flags of schedulers, thresholds, tunnels, the family of a mark) is read by netlink in
// turns: the list of services every 32nd call, the destinations of eight services with each.
//
// A list may lack what is there (see package genl). So what seems to be missing is added, and what
// turns out to exist is read and changed; what seems to be too much is removed only if a second
// reading agrees.
//
// The package may import dataplane/model, dataplane/settings, logr, its own genl, procfs and schedule,
// golang.org/x/sys/unix and the standard library.
package ipvs
