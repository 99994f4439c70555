package netwatch

import (
	"context"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// patience is how long a test waits for what must come; no test passes by waiting.
const patience = 30 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// nft gives text to nft in a namespace.
func nft(t *testing.T, far *netnstest.Far, text string) {
	t.Helper()
	far.Do(func() {
		cmd := exec.CommandContext(t.Context(), "nft", "-f", "-")
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("nft %s: %v\n%s", text, err, out)
		}
	})
}

// watched opens a source in a namespace and returns what it tells.
func watched(t *testing.T, far *netnstest.Far, s source) <-chan struct{} {
	t.Helper()
	news := make(chan struct{}, 1)
	far.Do(func() {
		conn, err := s.open()
		if err != nil {
			t.Error(err)
			return
		}
		done := make(chan struct{})
		go func() { defer close(done); _ = s.read(conn, news) }()
		t.Cleanup(func() { _ = conn.Close(); <-done })
	})
	return news
}

func await(t *testing.T, news <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-news:
	case <-time.After(patience):
		t.Fatalf("nothing was told of this: %s", what)
	}
}

// quiet forgets what was told until now: the mark is the last message of all that came before.
func quiet(t *testing.T, news <-chan struct{}, mark func()) {
	t.Helper()
	mark()
	await(t, news, "the mark")
	for {
		select {
		case <-news:
		case <-time.After(300 * time.Millisecond):
			return
		}
	}
}

func TestInterfacesAndAddressesAreWatched(t *testing.T) {
	far := netnstest.NewFar(t)
	news := watched(t, far, routing())
	for _, argv := range [][]string{
		{"ip", "link", "add", "br0", "type", "bridge"},
		{"ip", "link", "set", "br0", "up"},
		{"ip", "address", "add", "192.0.2.100/32", "dev", "br0"},
		{"ip", "address", "add", "2001:db8::100/128", "dev", "br0", "nodad"},
		{"ip", "address", "del", "192.0.2.100/32", "dev", "br0"},
		{"ip", "address", "del", "2001:db8::100/128", "dev", "br0"},
		{"ip", "link", "del", "br0"},
	} {
		far.Run(t, argv[0], argv[1:]...)
		await(t, news, strings.Join(argv, " "))
		for len(news) > 0 {
			<-news
		}
	}
}

// TestOtherTablesAreNotWatched: a program that writes tables of its own all the time wakes nobody.
// What is not told is seen by what is told after it: messages come in order.
func TestOtherTablesAreNotWatched(t *testing.T) {
	far := netnstest.NewFar(t)
	nft(t, far, "table inet mine { set s { type ipv4_addr; }; }\ntable inet other { set s { type ipv4_addr; }; }\ntable ip mine { set s { type ipv4_addr; }; }")
	mine := packetFilter("mine")
	seen := make(chan bool, 1000)
	judge := mine.concerns
	mine.concerns = func(datagram []byte) bool {
		yes := judge(datagram)
		seen <- yes
		return yes
	}
	news := watched(t, far, mine)
	nft(t, far, "add element inet other s { 192.0.2.1 }\nadd element ip mine s { 192.0.2.1 }")
	nft(t, far, "add chain inet other c { type filter hook input priority 0; }\nadd rule inet other c counter")
	nft(t, far, "delete table inet other")
	judged := 0
	for judged < 3 {
		select {
		case yes := <-seen:
			judged++
			if yes {
				t.Fatal("a change of another table counts")
			}
		case <-time.After(patience):
			t.Fatalf("only %d datagrams came, the sample is empty", judged)
		}
	}
	if len(news) != 0 {
		t.Error("a change of another table is told")
	}
	for _, change := range []string{
		"add element inet mine s { 192.0.2.1 }", "add chain inet mine c { type filter hook input priority 0; }",
		"add rule inet mine c counter", "flush ruleset",
	} {
		nft(t, far, change)
		await(t, news, change)
		quiet(t, news, func() {
			nft(t, far, "add table inet mine { set s { type ipv4_addr; }; }")
			nft(t, far, "add element inet mine s { 192.0.2.9 }")
		})
	}
}

// TestLostMessagesCount overruns the socket's buffer before anybody reads.
func TestLostMessagesCount(t *testing.T) {
	far := netnstest.NewFar(t)
	s := source{what: "test", protocol: unix.NETLINK_ROUTE, groups: []int{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR}}
	s.concerns = func([]byte) bool { return false } // so that only the loss is told
	news := make(chan struct{}, 1)
	done := make(chan struct{})
	far.Do(func() {
		conn, err := s.open()
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { _ = conn.Close(); <-done })
		raw, _ := conn.SyscallConn()
		_ = raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 2048) })
		for range 40 {
			for _, act := range []string{"add", "del"} {
				if out, err := exec.CommandContext(t.Context(), "ip", "address", act, "192.0.2.1/32", "dev", "lo").CombinedOutput(); err != nil {
					t.Errorf("ip address %s: %v\n%s", act, err, out)
				}
			}
		}
		go func() { defer close(done); _ = s.read(conn, news) }()
	})
	await(t, news, "messages were lost")
	far.Run(t, "ip", "address", "add", "192.0.2.2/32", "dev", "lo")
	select {
	case <-done:
		t.Error("reading ended with the loss")
	default:
	}
}

// TestWatchTellsAndEnds watches a namespace from first to last.
func TestWatchTellsAndEnds(t *testing.T) {
	far := netnstest.NewFar(t)
	nft(t, far, "table inet mine")
	told, done := make(chan struct{}, 100), make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with this
		err := far.Enter()
		if err == nil {
			err = Watcher{Table: "mine", Settle: time.Millisecond, Spacing: time.Millisecond}.Watch(ctx, func() { told <- struct{}{} })
		}
		done <- err
	}()
	for watching := false; !watching; {
		far.Run(t, "ip", "link", "set", "lo", "mtu", "1500")
		far.Run(t, "ip", "link", "set", "lo", "mtu", "1501")
		select {
		case <-told:
			watching = true
		case err := <-done:
			t.Fatalf("ended with %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	quiet(t, told, func() { far.Run(t, "ip", "link", "set", "lo", "mtu", "1502") })
	nft(t, far, "flush ruleset")
	await(t, told, "flush ruleset")
	cancel()
	if err := <-done; err != nil {
		t.Errorf("ended with %v", err)
	}
}
