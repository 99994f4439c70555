// Package eventloop serves sockets with one loop per core: no goroutine, no stack and no buffer for an idle connection.
//
// A Group has n Loops. Each is one goroutine with an epoll instance of its own; what belongs to a loop is touched
// on its goroutine alone, so it needs no lock. Sockets are Sources with a Handler that is told, by edges, what
// has become possible. Other goroutines speak to a loop by Post and Do.
//
// While there is work, a loop asks epoll without waiting, past the Go scheduler (package nonblock). When there is
// none it parks in the runtime's poller, see gate.
//
// The package knows no protocol. It imports the standard library, golang.org/x/sys/unix, logr and dataplane/nonblock.
package eventloop
