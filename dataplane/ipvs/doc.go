// Package ipvs programmes the kernel's layer 4 load balancer (IP Virtual Server).
//
// Each virtual service is an IPVS service by firewall mark; the marks are set by dataplane/nft.
// Services whose mark lies in our range are ours, all others belong to somebody else (kube-proxy,
// the administrator) and are never touched. The driver takes the whole set with every call,
// adopts what it finds, writes only the difference and changes services in place, so that no
// connection is lost.
//
// The package may import dataplane/model, dataplane/plan, github.com/moby/ipvs and netlink
// libraries.
package ipvs
