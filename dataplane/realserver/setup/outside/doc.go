// Package outside inspects a real server from another host of its segment, the director for
// example: it sends what a director sends, packets to the virtual address with that server's MAC
// address, and looks what comes back. Nothing of the host it runs on is changed: frames are
// sent and received past its kernel. Probes have a hop limit of 1, so a server without the address
// that forwards cannot pass one on, and connections are never completed.
//
// From outside it cannot be seen whether a UDP service works, whether the server is prepared again
// after a reboot, and what comes through tunnels; setup.Inspect on the server sees that.
//
// Of this module the package may import dataplane/model, dataplane/announce and
// dataplane/realserver/setup.
package outside
