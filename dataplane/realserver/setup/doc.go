// Package setup is for real servers that this program does not run on: it writes the script that
// prepares such a server for layer 4 services, and inspects whether a server is prepared.
//
// Script is pure text: what it prints has no part of this program and needs none. Inspect is pure
// over a Reader; HostReader is the thin real one for Linux.
//
// The package may import dataplane/model, dataplane/netif, dataplane/realserver and the
// nftables library.
package setup
