// Package turns decides which process of a host acts, by flock(2) on files of the run directory.
// The kernel drops such a lock when its process ends, however it ends.
//
//	agent.lock   held by the agent that acts, alone
//	agent.queue  held by regular agents that wait for their turn, shared
//	proxy.lock   held by regular proxies that may accept, shared
//
// Regular processes never yield. A cold-start process acts only while no regular one does: it
// waits until the locks have been free for a while, and the agent gives its turn back as soon as
// somebody stands in the queue.
//
// It may import the standard library and golang.org/x/sys.
package turns
