package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/e2e/lab/guest"
)

// privateDirs are the folders in which a host sees the machine's files but keeps
// its own changes.
var privateDirs = [...]string{"/etc", "/home", "/mnt", "/opt", "/root", "/srv", "/tmp", "/var"}

// runHost is the first process of a host that is a set of namespaces. Arguments:
// its name and the socket to listen on.
func runHost(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%s: two arguments wanted, name and socket", guest.RoleHost)
	}
	name, socket := args[0], args[1]
	if err := privateMounts(); err != nil {
		return err
	}
	if err := unix.Sethostname([]byte(name)); err != nil {
		return fmt.Errorf("set host name %q: %w", name, err)
	}
	// The socket is bound by a name relative to its open folder, before the folder
	// is covered; a path could be longer than a socket's name may be.
	if err := os.Chdir(filepath.Dir(socket)); err != nil {
		return err
	}
	if err := plainNetwork(); err != nil {
		return err
	}
	return privateAndServe(filepath.Base(socket))
}

// plainNetwork gives the namespace the kernel's own defaults whatever the host has.
func plainNetwork() error {
	values := map[string]string{
		"ipv4/ip_forward":                 "0",
		"ipv4/conf/all/rp_filter":         "0",
		"ipv4/conf/default/rp_filter":     "0",
		"ipv4/conf/all/arp_ignore":        "0",
		"ipv4/conf/default/arp_ignore":    "0",
		"ipv4/conf/all/arp_announce":      "0",
		"ipv4/conf/default/arp_announce":  "0",
		"ipv6/conf/all/forwarding":        "0",
		"ipv6/conf/all/disable_ipv6":      "0",
		"ipv6/conf/default/disable_ipv6":  "0",
		"ipv6/conf/default/accept_ra":     "0",
		"ipv6/conf/default/autoconf":      "0",
		"ipv4/ping_group_range":           "0 2147483647",
		"ipv4/ip_unprivileged_port_start": "1024",
	}
	for key, value := range values {
		path := filepath.Join("/proc/sys/net", key)
		if err := os.WriteFile(path, []byte(value), 0); err != nil {
			return fmt.Errorf("set %s: %w", path, err)
		}
	}
	return nil
}

// privateAndServe covers the shared folders last: the overlays' upper layers live
// on a tmpfs that is hidden again, and the socket's folder may be below them.
func privateAndServe(socket string) error {
	upper := "/run"
	if err := (mount{"tmpfs", upper, "tmpfs", "mode=755"}).do(); err != nil {
		return err
	}
	for _, dir := range privateDirs {
		if err := overlay(upper, dir); err != nil {
			return err
		}
	}
	if err := (mount{"tmpfs", "/run", "tmpfs", "mode=755"}).do(); err != nil {
		return err
	}
	for _, dir := range []string{"/run/lock", "/var/lib/truepacs", "/var/log"} {
		if err := (mount{"tmpfs", dir, "tmpfs", "mode=755"}).do(); err != nil {
			return err
		}
	}
	return serveUnix(socket)
}

func overlay(upper, dir string) error {
	if _, err := os.Stat(dir); os.IsNotExist(err) {
		return nil
	}
	base := filepath.Join(upper, strings.ReplaceAll(dir, "/", "_"))
	for _, sub := range []string{base + "/upper", base + "/work"} {
		if err := os.MkdirAll(sub, 0o755); err != nil {
			return err
		}
	}
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if err := os.Chmod(base+"/upper", info.Mode()); err != nil {
		return err
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/upper,workdir=%s/work", dir, base, base)
	if err := unix.Mount("overlay", dir, "overlay", 0, options); err != nil {
		return fmt.Errorf("give the host a private %s: %w", dir, err)
	}
	return nil
}
