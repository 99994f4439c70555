// Command peer is a server of suites: peer NAME PORT... answers TCP and UDP of both families.
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/truepacs/balancer/e2e/talk"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 {
		return errors.New("write the name of the server and its ports: peer NAME PORT [PORT]")
	}
	var ports []uint16
	for _, text := range args[1:] {
		port, err := strconv.ParseUint(text, 10, 16)
		if err != nil {
			return err
		}
		ports = append(ports, uint16(port))
	}
	return talk.Serve(args[0], ports)
}
