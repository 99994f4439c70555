// Package peers runs front programs side by side, each from the same description: the shipped binary
// with shipped defaults, and beside it Debian's HAProxy and nginx and a ReverseProxy of Go's net/http,
// configured to do the equal. What is not equal is said in the templates.
//
//	front := peers.Front{
//		Address: netip.MustParseAddr("192.0.2.100"), Interface: "eth0",
//		Listeners: []peers.Listener{{Name: "web", Port: 80, Protocol: peers.HTTP, Servers: servers}},
//	}
//	peer := peers.Start(t, peers.Far(host), peers.HAProxy, front)
//	before, err := peer.Usage()
//
// Programs are judged by what the kernel says of them, in /proc. Each runs in a session of its own: the
// kernel shares processors out by session first (sched(7), autogroups), so that a program in the session of
// its load is scheduled in another way than one that is not. Each also runs in a process namespace of
// its own, by which all of its processes are known and end with the test, whatever ends the test.
//
// It may import e2e/lab, e2e/site and dataplane/netif/netnstest.
package peers
