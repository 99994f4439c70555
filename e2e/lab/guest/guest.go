// Package guest is what the lab and its guest program have to agree on: the
// configuration that a host finds when it starts, the places of files in it, and
// how an interface is set up from its description.
//
// It imports the standard library, golang.org/x/sys and vishvananda/netlink, and
// nothing of the product: the lab must not share the product's mistakes.
package guest

import (
	"net/netip"
)

// Places and numbers that both sides know.
const (
	// ManagementPort is the agent's TCP port on the management network.
	ManagementPort = 7
	// ManagementName is the management interface's name. It lives in a network
	// namespace of its own within the machine and is not seen by the product.
	ManagementName = "mgmt0"
	// ConfigPath is the configuration in the initramfs.
	ConfigPath = "/lab/config.json"
	// BootModules is the folder of modules that init loads itself, in the order of
	// their names, before any disk can be mounted.
	BootModules = "/lab/modules"
	// RuntimeDir holds program and configuration of a machine that runs systemd.
	RuntimeDir = "/run/lab"
	// SerialModules, SerialData and SerialRoot are the serial numbers by which init
	// knows the virtual disks; device names depend on probe order.
	SerialModules = "modules"
	SerialData    = "data"
	SerialRoot    = "root"
)

// Roles of the guest program, its first argument.
const (
	RoleSupervise = "supervise" // outlives a killed test and removes what it left
	RoleWorld     = "world"     // first process of a lab's PID namespace
	RoleHost      = "host"      // first process of a host that is a namespace
	RoleSystemd   = "systemd"   // service in a machine with a full system
)

// Config describes a machine to its guest program.
type Config struct {
	Hostname   string     `json:"hostname"`
	Management Management `json:"management"`
	NICs       []NIC      `json:"nics"`
	// Modules are loaded by modprobe before the agent answers.
	Modules []string `json:"modules"`
	// DataDisk says that a disk has to be mounted on /var/lib.
	DataDisk bool `json:"dataDisk"`
	// RootDisk says that the system on a disk has to be started with its own init.
	RootDisk bool `json:"rootDisk"`
}

// Management is the machine's access for the lab.
type Management struct {
	MAC     string       `json:"mac"`
	Address netip.Prefix `json:"address"`
}

// NIC is an interface's wanted state.
type NIC struct {
	Name      string         `json:"name"`
	MAC       string         `json:"mac"`
	Addresses []netip.Prefix `json:"addresses"`
	// Gateways are next hops of default routes, one per address family.
	Gateways []netip.Addr `json:"gateways"`
	// MTU in bytes; 0 leaves the driver's.
	MTU int `json:"mtu"`
}
