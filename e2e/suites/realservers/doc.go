// Package realservers shows servers behind direct routing: a Debian on which the printed script was
// run, in both ways and through a reboot, the same host prepared by the agent, and that nothing but
// declared ports and ICMP answers on virtual addresses, on directors and servers.
package realservers
