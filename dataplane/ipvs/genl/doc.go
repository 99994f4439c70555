// Package genl speaks the kernel's own language for IP Virtual Server: the generic netlink family
// "IPVS" of linux/ip_vs.h, with everything that the family can say. That is, beyond services and
// destinations, 64-bit counters and rates, tunnels, destinations of the other address family,
// persistence engines, connection timeouts, the synchronisation daemon and the table's size.
//
// The codec (attributes.go, encode.go, decode*.go, message.go) turns values into bytes and bytes
// into values and touches no socket. The Client owns one socket. All its calls end: each has a
// deadline, answers to other requests are skipped and counted, and whatever the kernel loses
// (ENOBUFS), interrupts (NLM_F_DUMP_INTR) or leaves unanswered is an error that says so.
//
// What the kernel does not say, of which users should know (net/netfilter/ipvs/ip_vs_ctl.c, 6.1):
//
//   - The family never sets NLM_F_DUMP_INTR. A list that other programs change while it is read
//     may lack a service that was there all the time, or have one twice. The Client reads again
//     when it sees one twice; one that is missing cannot be seen.
//   - A dump of the destinations of a service that does not exist is empty instead of ESRCH. The
//     Client asks for the service when a dump is empty.
//   - ENOENT is the answer both to a missing scheduler or destination and to a family number that
//     has gone with the module. The Client looks the number up again and repeats the request if it
//     has changed.
//
// The package may import golang.org/x/sys/unix and the standard library.
package genl
