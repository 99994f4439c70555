// Package talk is what clients and servers of suites say to each other: who answered and whom it
// saw, datagrams that come back, and transfers in both directions whose every byte is checked.
//
// It imports the standard library and golang.org/x/net.
package talk
