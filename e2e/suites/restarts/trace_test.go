package restarts

import (
	"bufio"
	"bytes"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// Commands of IPVS that change something (enum IPVS_CMD_*, linux/ip_vs.h): new, set and del of
// services and destinations, new and del of the synchronisation daemon, set of the timeouts,
// zero and flush.
var ipvsWrites = []string{`\1`, `\2`, `\3`, `\5`, `\6`, `\7`, `\t`, `\n`, `\r`, `\20`, `\21`}

// genericNetlink finds the command of a generic netlink message in a line of strace.
var genericNetlink = regexp.MustCompile(`nlmsg_type=(?:IPVS|0x[0-9a-f]+)[^}]*}, "(\\[0-7]{1,3}|\\[a-z]|.)`)

// routeWrite finds messages of rtnetlink that change addresses, routes, links or neighbours.
var routeWrite = regexp.MustCompile(`nlmsg_type=RTM_(NEW|DEL|SET)[A-Z]+`)

// nftWrite finds messages of nftables that change something.
var nftWrite = regexp.MustCompile(`NFT_MSG_(NEW|DEL|DESTROY)[A-Z]+`)

// sysctlWrite finds settings that are opened for writing.
var sysctlWrite = regexp.MustCompile(`openat\([^"]*"/proc/sys/[^"]*", [^)]*O_(WRONLY|RDWR)`)

// changes returns the lines of a trace in which the kernel's network is changed.
func changes(t *testing.T, trace []byte) []string {
	t.Helper()
	var found []string
	messages := 0
	lines := bufio.NewScanner(bytes.NewReader(trace))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		if strings.Contains(line, "nlmsg_type=") {
			messages++
		}
		if routeWrite.MatchString(line) || nftWrite.MatchString(line) || sysctlWrite.MatchString(line) || ipvsWrite(line) {
			found = append(found, line)
		}
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
	if messages < 10 {
		t.Errorf("the trace has %d netlink messages, the sample is empty", messages)
	}
	return found
}

// ipvsWrite tells whether a line is a command of IPVS that changes something. The controller of
// generic netlink itself (type 0x10) is asked for the family's number only.
func ipvsWrite(line string) bool {
	if strings.Contains(line, "nlmsg_type=nlctrl") || strings.Contains(line, "nlmsg_type=0x10,") {
		return false
	}
	m := genericNetlink.FindStringSubmatch(line)
	return m != nil && slices.Contains(ipvsWrites, m[1])
}

func TestTraceOfChangesIsRecognised(t *testing.T) {
	read := `12 sendto(7, [{nlmsg_len=20, nlmsg_type=RTM_GETADDR, nlmsg_flags=NLM_F_REQUEST|NLM_F_DUMP}, {ifa_family=AF_UNSPEC}], 20, 0, NULL, 0) = 20`
	for name, tc := range map[string]struct {
		line string
		want int
	}{
		"address":   {`12 sendto(7, [{nlmsg_len=56, nlmsg_type=RTM_NEWADDR, nlmsg_flags=NLM_F_REQUEST}, ...], 56, 0, NULL, 0) = 56`, 1},
		"IPVS set":  {`12 sendto(7, [{nlmsg_len=56, nlmsg_type=0x21, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK, nlmsg_seq=5, nlmsg_pid=0}, "\2\1\0\0"], 56, 0, NULL, 0) = 56`, 1},
		"IPVS read": {`12 sendto(7, [{nlmsg_len=56, nlmsg_type=0x21, nlmsg_flags=NLM_F_REQUEST|NLM_F_DUMP, nlmsg_seq=5, nlmsg_pid=0}, "\4\1\0\0"], 56, 0, NULL, 0) = 56`, 0},
		"sysctl":    {`12 openat(AT_FDCWD, "/proc/sys/net/ipv4/vs/conn_reuse_mode", O_WRONLY|O_TRUNC|O_CLOEXEC) = 9`, 1},
		"read only": {`12 openat(AT_FDCWD, "/proc/sys/net/ipv4/vs/conn_reuse_mode", O_RDONLY|O_CLOEXEC) = 9`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			trace := strings.Repeat(read+"\n", 10) + tc.line + "\n"
			if got := changes(t, []byte(trace)); len(got) != tc.want {
				t.Errorf("found %q", got)
			}
		})
	}
}
