// Command labguest is the lab's program inside each host, and the supervisor that
// removes a lab whose test was killed. As process 1 of a virtual machine it is
// init; else its first argument names its role. The lab builds and starts it;
// nobody calls it by hand.
package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/truepacs/balancer/e2e/lab/guest"
)

func main() {
	runtime.LockOSThread()
	err := start(os.Args)
	fmt.Fprintln(os.Stderr, "labguest:", err)
	if os.Getpid() == 1 && len(os.Args) == 1 {
		halt()
	}
	os.Exit(1)
}

// start runs the role; no role returns while all is well.
func start(args []string) error {
	if len(args) == 1 && os.Getpid() == 1 {
		return runInit()
	}
	if len(args) < 2 {
		return fmt.Errorf("a role is missing: this program is started by the lab, not by hand")
	}
	switch role, rest := args[1], args[2:]; role {
	case guest.RoleSupervise:
		return runSupervise(rest)
	case guest.RoleWorld:
		return runWorld(rest)
	case guest.RoleHost:
		return runHost(rest)
	case guest.RoleSystemd:
		return runSystemd()
	default:
		return fmt.Errorf("role %q is unknown: program and library are of different versions", role)
	}
}
