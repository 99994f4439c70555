package strace

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
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

// ipvsWrites are the commands of IPVS that change something (enum IPVS_CMD_*, linux/ip_vs.h): new,
// set and del of services and destinations, new and del of the synchronisation daemon, set of the
// timeouts, zero and flush.
var ipvsWrites = []byte{1, 2, 3, 5, 6, 7, 9, 10, 12, 16, 17}

// genericNetlink finds the command of a generic netlink message, the first byte of its header.
var genericNetlink = regexp.MustCompile(`nlmsg_type=(IPVS|nlctrl|0x[0-9a-f]+)[^}]*}, "((?:\\x[0-9a-f]{2}|\\[0-7]{1,3}|\\?.))`)

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

// ipvsCommands returns the commands to IPVS in a line. The controller of generic netlink itself
// (type 0x10) is asked for the family's number only.
func ipvsCommands(line string) []byte {
	var commands []byte
	for _, m := range genericNetlink.FindAllStringSubmatch(line, -1) {
		if m[1] != "nlctrl" && m[1] != "0x10" {
			commands = append(commands, character(m[2]))
		}
	}
	return commands
}

func ipvsWrite(line string) bool {
	return slices.ContainsFunc(ipvsCommands(line), func(c byte) bool { return slices.Contains(ipvsWrites, c) })
}

// character is the byte that strace writes as one character of a C string: in hexadecimal where it
// knows the message's family, else in octal.
func character(text string) byte {
	if hex, ok := strings.CutPrefix(text, `\x`); ok {
		n, _ := strconv.ParseUint(hex, 16, 8)
		return byte(n)
	}
	if named := strings.Index(`tnvfr`, strings.TrimPrefix(text, `\`)); named >= 0 && len(text) == 2 {
		return "\t\n\v\f\r"[named]
	}
	if octal, ok := strings.CutPrefix(text, `\`); ok {
		n, _ := strconv.ParseUint(octal, 8, 8)
		return byte(n)
	}
	return text[0]
}
