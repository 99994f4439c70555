// Package modes shows that every mode of layer 4 carries traffic on a plain host, TCP and UDP, IPv4 and
// IPv6, with virtual IPs on the servers' network and on another one, and through a hop whose packets
// are smaller: captures prove the path that packets take.
package modes
