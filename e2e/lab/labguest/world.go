package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/e2e/lab/agent"
	"github.com/truepacs/balancer/e2e/lab/guest"
)

// runWorld is the first process of a lab: its namespaces hold the wires, and its
// end is the end of every process in the lab. Argument: the socket to listen on.
func runWorld(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("%s: one argument wanted, the socket", guest.RoleWorld)
	}
	if err := privateMounts(); err != nil {
		return err
	}
	if err := dieWithStdin(); err != nil {
		return err
	}
	if err := quietBridges(); err != nil {
		return err
	}
	return serveUnix(args[0])
}

// dieWithStdin ends the world when the supervisor is gone, whose pipe stdin is.
func dieWithStdin() error {
	pipe := os.NewFile(0, "supervisor")
	go func() {
		_, _ = pipe.Read(make([]byte, 1))
		os.Exit(1)
	}()
	return nil
}

// privateMounts keeps mounts of this namespace from the host and shows the
// processes of this PID namespace in /proc.
func privateMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make mounts private: %w", err)
	}
	return mountAll([]mount{{"proc", "/proc", "proc", ""}, {"sysfs", "/sys", "sysfs", ""}})
}

// quietBridges makes the wires plain: no packet filter of the host's kernel sees
// bridged frames, and no bridge port speaks IPv6 of its own.
func quietBridges() error {
	paths, err := filepath.Glob("/proc/sys/net/bridge/bridge-nf-call-*")
	if err != nil {
		return err
	}
	values := map[string]string{"/proc/sys/net/ipv6/conf/default/disable_ipv6": "1"}
	for _, path := range paths {
		values[path] = "0"
	}
	for path, value := range values {
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return fmt.Errorf("set %s: %w", path, err)
		}
	}
	return nil
}

func serveUnix(path string) error {
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	if err := guest.LoopbackUp(handle); err != nil {
		return err
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen for the lab: %w", err)
	}
	return agent.NewServer().Serve(listener)
}
