package strace

import (
	"regexp"
	"slices"
)

// Arguments returns a command line that lets strace follow all threads and children and write
// what a Record is read from; append "-o" with a file, and a program with its arguments. Signals are
// not shown: Go's runtime sends itself many.
func Arguments() []string {
	return []string{
		"strace", "-f", "-s", "96", "-e", "signal=none",
		"-e", "trace=sendto,sendmsg,sendmmsg,openat,setsockopt,ioctl,execve",
	}
}

// Commands of IPVS that change something (enum IPVS_CMD_*, linux/ip_vs.h) as strace writes them:
// new, set and del of services and destinations, new and del of the synchronisation daemon, set of
// the timeouts, zero and flush.
var ipvsWrites = []string{`\1`, `\2`, `\3`, `\5`, `\6`, `\7`, `\t`, `\n`, `\f`, `\20`, `\21`}

// genericNetlink finds the command of a generic netlink message.
var genericNetlink = regexp.MustCompile(`nlmsg_type=(IPVS|nlctrl|0x[0-9a-f]+)[^}]*}, "(\\[0-7]{1,3}|\\[a-z]|.)`)

// changes find calls that change the network, each in one line.
var changes = []*regexp.Regexp{
	// Messages of rtnetlink about addresses, routes, links, neighbours and rules.
	regexp.MustCompile(`nlmsg_type=RTM_(NEW|DEL|SET)[A-Z]+`),
	// Messages of nftables.
	regexp.MustCompile(`NFT_MSG_(NEW|DEL|DESTROY)[A-Z]+`),
	// Settings opened for writing; a container has them on a mount of its own.
	regexp.MustCompile(`openat\([^"]*"[^"]*/proc/sys/[^"]*", [^)]*O_(WRONLY|RDWR)`),
	// The interface to IPVS before netlink (IP_VS_SO_SET_*, 0x481 and on, linux/ip_vs.h).
	regexp.MustCompile(`setsockopt\(\d+, SOL_IP, 0x4[89a-f]`),
	// The interface to addresses, routes and links before netlink (SIOC*, bits/ioctls.h).
	regexp.MustCompile(`ioctl\([^,]*, SIOC(SIF|ADD|DEL|DIFADDR|SARP|DARP)`),
}

// change tells whether a line is a call that changes the network.
func change(line string) bool {
	for _, c := range changes {
		if c.MatchString(line) {
			return true
		}
	}
	return ipvsWrite(line)
}

// ipvsWrite tells whether a line has a command of IPVS that changes something. The controller of
// generic netlink itself (type 0x10) is asked for the family's number only.
func ipvsWrite(line string) bool {
	for _, m := range genericNetlink.FindAllStringSubmatch(line, -1) {
		if m[1] != "nlctrl" && m[1] != "0x10" && slices.Contains(ipvsWrites, m[2]) {
			return true
		}
	}
	return false
}
