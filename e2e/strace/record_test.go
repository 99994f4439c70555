package strace

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	readService = `sendto(4, [{nlmsg_len=24, nlmsg_type=IPVS, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK|0x300, nlmsg_seq=403, nlmsg_pid=0}, "\x04\x01\x00\x00\x04\x00\x01\x00"], 24, 0, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 24`
	readAddress = `sendto(7, [{nlmsg_len=20, nlmsg_type=RTM_GETADDR, nlmsg_flags=NLM_F_REQUEST|NLM_F_DUMP}, {ifa_family=AF_UNSPEC}], 20, 0, NULL, 0) = 20`
	addAddress  = `sendto(7, [{nlmsg_len=56, nlmsg_type=RTM_NEWADDR, nlmsg_flags=NLM_F_REQUEST}, ...], 56, 0, NULL, 0) = 56`
)

func TestTraceOfChangesIsRecognised(t *testing.T) {
	for name, tc := range map[string]struct {
		line string
		want int
	}{
		"address":                      {addAddress, 1},
		"IPVS set":                     {`sendto(7, [{nlmsg_len=56, nlmsg_type=0x21, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK, nlmsg_seq=5, nlmsg_pid=0}, "\2\1\0\0"], 56, 0, NULL, 0) = 56`, 1},
		"IPVS by name":                 {`sendto(7, [{nlmsg_len=56, nlmsg_type=IPVS, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK, nlmsg_seq=5, nlmsg_pid=0}, "\21\1\0\0"], 56, 0, NULL, 0) = 56`, 1},
		"IPVS timeouts":                {`sendto(7, [{nlmsg_len=56, nlmsg_type=0x21, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK, nlmsg_seq=5, nlmsg_pid=0}, "\f\1\0\0"], 56, 0, NULL, 0) = 56`, 1},
		"IPVS in hexadecimal":          {`sendto(4, [{nlmsg_len=76, nlmsg_type=IPVS, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK, nlmsg_seq=405, nlmsg_pid=0}, "\x02\x01\x00\x00\x38\x00\x01\x00"], 76, 0, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 76`, 1},
		"IPVS flush in hexadecimal":    {`sendto(4, [{nlmsg_len=20, nlmsg_type=IPVS, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK, nlmsg_seq=405, nlmsg_pid=0}, "\x11\x01\x00\x00"], 20, 0, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 20`, 1},
		"IPVS read in hexadecimal":     {`sendto(4, [{nlmsg_len=24, nlmsg_type=IPVS, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK|0x300, nlmsg_seq=403, nlmsg_pid=0}, "\x04\x01\x00\x00\x04\x00\x01\x00"], 24, 0, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 24`, 0},
		"IPVS settings in hexadecimal": {`sendto(4, [{nlmsg_len=20, nlmsg_type=IPVS, nlmsg_flags=NLM_F_REQUEST|NLM_F_ACK, nlmsg_seq=407, nlmsg_pid=0}, "\x0d\x01\x00\x00"], 20, 0, {sa_family=AF_NETLINK, nl_pid=0, nl_groups=00000000}, 12) = 20`, 0},
		"IPVS read":                    {`sendto(7, [{nlmsg_len=56, nlmsg_type=0x21, nlmsg_flags=NLM_F_REQUEST|NLM_F_DUMP, nlmsg_seq=5, nlmsg_pid=0}, "\4\1\0\0"], 56, 0, NULL, 0) = 56`, 0},
		"IPVS settings":                {`sendto(7, [{nlmsg_len=56, nlmsg_type=0x21, nlmsg_flags=NLM_F_REQUEST, nlmsg_seq=5, nlmsg_pid=0}, "\r\1\0\0"], 56, 0, NULL, 0) = 56`, 0},
		"family's number":              {`sendto(7, [{nlmsg_len=36, nlmsg_type=nlctrl, nlmsg_flags=NLM_F_REQUEST, nlmsg_seq=1, nlmsg_pid=0}, "\3\1\0\0"], 36, 0, NULL, 0) = 36`, 0},
		"old IPVS":                     {`setsockopt(3, SOL_IP, 0x482 /* IP_??? */, "\6", 44) = 0`, 1},
		"socket option":                {`setsockopt(3, SOL_IP, IP_TRANSPARENT, [1], 4) = 0`, 0},
		"nftables":                     {`sendmsg(9, {msg_iov=[{iov_base=[{nlmsg_len=20, nlmsg_type=NFNL_SUBSYS_NFTABLES<<8|NFT_MSG_NEWSETELEM, nlmsg_flags=NLM_F_REQUEST}]}]}, 0) = 20`, 1},
		"link by ioctl":                {`ioctl(3, SIOCSIFFLAGS, {ifr_name="eth0", ifr_flags=IFF_UP}) = 0`, 1},
		"sysctl":                       {`openat(AT_FDCWD, "/proc/sys/net/ipv4/vs/conn_reuse_mode", O_WRONLY|O_TRUNC|O_CLOEXEC) = 9`, 1},
		"sysctl on mount":              {`openat(AT_FDCWD, "/host/proc/sys/net/ipv4/vs/conn_reuse_mode", O_WRONLY|O_CLOEXEC) = 9`, 1},
		"sysctl read only":             {`openat(AT_FDCWD, "/proc/sys/net/ipv4/vs/conn_reuse_mode", O_RDONLY|O_CLOEXEC) = 9`, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := All([]byte(sample(enough, enoughIPVS) + "12 " + tc.line + "\n"))
			if len(got.Changes) != tc.want || got.Enough() != nil {
				t.Errorf("%v, %v: %q", got, got.Enough(), got.Changes)
			}
		})
	}
}

func sample(addresses, services int) string {
	return strings.Repeat("12 "+readAddress+"\n", addresses) + strings.Repeat("12 "+readService+"\n", services)
}

func TestSmallSampleIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		addresses, services int
		refused             bool
	}{
		"enough":       {enough, enoughIPVS, false},
		"few messages": {1, enoughIPVS, true},
		"no IPVS":      {enough, enoughIPVS - 1, true},
		"nothing":      {0, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := All([]byte(sample(tc.addresses, tc.services))).Enough(); tc.refused != (err != nil) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestOnlyTheProgramCounts: thread 300 is a container's runtime that becomes the program.
func TestOnlyTheProgramCounts(t *testing.T) {
	const (
		before = "300 " + addAddress + "\n301 openat(AT_FDCWD, \"/x\", O_RDONLY) = 3\n"
		become = "300 execve(\"/truepacs\", [\"/truepacs\", \"agent\"], 0xc /* 9 vars */) = 0\n"
	)
	for name, tc := range map[string]struct {
		trace                       string
		changes, programs, messages int
		threads                     int
	}{
		"the runtime":                {before + become, 0, 1, 0, 1},
		"the program":                {before + become + "300 " + addAddress + "\n", 1, 1, 1, 1},
		"its threads":                {before + become + "300 " + readAddress + "\n302 " + addAddress + "\n", 1, 1, 2, 2},
		"its children":               {before + become + "303 execve(\"/sbin/ip\", [\"ip\"], 0xc) = 0\n303 " + addAddress + "\n", 1, 2, 1, 2},
		"an interrupted start":       {before + "300 execve(\"/truepacs\", [\"/truepacs\"], 0xc <unfinished ...>\n301 +++ exited with 0 +++\n300 <... execve resumed>)             = 0\n300 " + addAddress + "\n", 1, 1, 1, 1},
		"a start that failed":        {before + "300 execve(\"/truepacs\", [\"/truepacs\"], 0xc) = -1 ENOENT (No such file or directory)\n300 " + addAddress + "\n", 0, 0, 0, 0},
		"another start after it":     {"300 execve(\"/truepacs\", [\"/truepacs\"], 0xc) = -1 ENOENT (No such file or directory)\n300 execve(\"/x\", [\"x\"], 0xc) = 0\n300 " + addAddress + "\n", 0, 0, 0, 0},
		"a trace without the start":  {before + before, 0, 0, 0, 0},
		"a program of a longer name": {"300 execve(\"/truepacs-x\", [\"x\"], 0xc) = 0\n300 " + addAddress + "\n", 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got := Since([]byte(tc.trace), "/truepacs")
			want := Record{Programs: tc.programs, Threads: tc.threads, Calls: got.Calls, Messages: tc.messages, Changes: got.Changes}
			if diff := cmp.Diff(want, got); diff != "" || len(got.Changes) != tc.changes {
				t.Errorf("%d changes, want %d; -want +got:\n%s", len(got.Changes), tc.changes, diff)
			}
		})
	}
}
