// Command ends is both ends of package traffic:
//
//	ends serve HTTP=PORT TCP=PORT ...   serves on all addresses until it is ended
//	ends load ORDER                     fills an order, which is JSON
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/truepacs/balancer/e2e/bench/l7/traffic"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) > 1 && args[0] == "serve":
		return serve(args[1:])
	case len(args) == 2 && args[0] == "load":
		var order traffic.Order
		if err := json.Unmarshal([]byte(args[1]), &order); err != nil {
			return err
		}
		return traffic.Load(order, os.Stdin, os.Stdout)
	}
	return errors.New("write serve HTTP=PORT TCP=PORT, or load and an order")
}

func serve(services []string) error {
	failed := make(chan error)
	for _, service := range services {
		protocol, port, _ := strings.Cut(service, "=")
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			return err
		}
		answer := traffic.ServeHTTP
		if protocol == "TCP" {
			answer = traffic.ServeTCP
		}
		go func() { failed <- answer(l) }()
	}
	return <-failed
}
