// Command answer is a server in a pod: it says its node's name to everyone who connects and then repeats
// what it hears. Told to end it goes on, as a PACS does that finishes its associations, until it is killed.
package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	signal.Ignore(syscall.SIGTERM)
	l, err := net.Listen("tcp", ":8104")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			os.Exit(1)
		}
		go func() {
			defer c.Close()
			fmt.Fprintln(c, os.Getenv("NODE"))
			_, _ = io.Copy(c, c)
		}()
	}
}
