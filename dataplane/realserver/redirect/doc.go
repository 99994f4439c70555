// Package redirect makes a host a real server of a direct-routing service where no address may be
// added to it: packets that arrive for a virtual IP address and a declared port are redirected to
// the host's own address of that interface by nftables (NAT statement redirect, chain prerouting),
// and connection tracking gives the replies the virtual IP as source again.
//
// As the host does not hold the address, it answers neither ARP nor neighbour solicitations for
// it and no setting needs changing. The price is connection tracking for every connection, and
// that the application sees the host's own address as its local one.
//
// The package owns the table truepacs_redirect of the families ip and ip6 and touches nothing else. It
// may import dataplane/model and the nftables library.
package redirect
