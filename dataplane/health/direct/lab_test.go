package direct

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/truepacs/balancer/dataplane/health"
)

// roleVariable makes the test binary a server or a director in a network namespace of the lab.
const roleVariable = "TRUEPACS_DIRECT_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case "server":
		serve()
	case "director":
		direct()
	default:
		goleak.VerifyTestMain(m)
	}
}

// serve says on each connection which address it was opened to, until standard input ends.
func serve() {
	for _, network := range []string{"tcp4", "tcp6"} {
		l, err := net.Listen(network, ":104")
		if err != nil {
			panic(err)
		}
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				buf := make([]byte, 5)
				if _, err := io.ReadFull(c, buf); err == nil && string(buf) == "hello" {
					fmt.Fprintf(c, "%s %s", os.Getenv("NAME"), c.LocalAddr())
				}
				c.Close()
			}
		}()
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// order is one DialVia that a director is asked for; answer what came of it.
type order struct {
	VIP    netip.AddrPort
	Server netip.Addr
	Close  bool
	// Sweep is Keep without any path.
	Sweep bool
	// Patient is for what must succeed, however busy the machine.
	Patient bool
}

type answer struct {
	Text   string
	Reason string
	Err    string
}

// direct obeys orders from standard input.
func direct() {
	d, err := New(Config{})
	if err != nil {
		panic(err)
	}
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var o order
		if in.Decode(&o) != nil {
			return
		}
		if o.Sweep {
			_ = out.Encode(answer{Err: fmt.Sprint(d.Keep(nil))})
			continue
		}
		if o.Close {
			_ = out.Encode(answer{Err: fmt.Sprint(d.Close())})
			continue
		}
		_ = out.Encode(dialOnce(d, o))
	}
}

func dialOnce(d *Dialer, o order) answer {
	limit := 4 * time.Second
	if o.Patient {
		limit = time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	conn, err := d.DialVia(ctx, o.VIP, o.Server)
	if err != nil {
		return answer{Reason: reasonOf(err), Err: err.Error()}
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	_, _ = io.WriteString(conn, "hello")
	b, err := io.ReadAll(conn)
	if err != nil {
		return answer{Reason: "read", Err: err.Error()}
	}
	return answer{Text: string(b)}
}

func reasonOf(err error) string {
	for name, target := range map[string]error{
		"NoVIP": health.ErrNoVIP, "OffSegment": health.ErrOffSegment, "Unprepared": health.ErrUnprepared,
		"Refused": syscall.ECONNREFUSED, "Closed": net.ErrClosed,
	} {
		if errors.Is(err, target) {
			return name
		}
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() {
		return "Timeout"
	}
	return "other"
}

// lab is a segment: an active director, which holds the VIP, a standby director, servers with and
// without it. Names of namespaces hold the process id; everything goes with the test.
type lab struct {
	t      *testing.T
	prefix string
}

func (l *lab) ns(host string) string { return l.prefix + host }

func (l *lab) run(args ...string) string {
	l.t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("%s: %v: run as root, with iproute2 and nftables installed\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// in runs a program in the namespace of a host.
func (l *lab) in(host string, args ...string) string {
	l.t.Helper()
	return l.run(append([]string{"ip", "netns", "exec", l.ns(host)}, args...)...)
}

const (
	vip4, vip6 = "192.0.2.100", "2001:db8::100"
)

// sweep removes what a killed test left: namespaces whose process is gone.
func (l *lab) sweep() {
	for _, line := range strings.Split(l.run("ip", "netns", "list"), "\n") {
		name, _, _ := strings.Cut(line, " ")
		var pid int
		if n, _ := fmt.Sscanf(name, "tpd%d", &pid); n == 1 && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = exec.Command("ip", "netns", "del", name).Run()
		}
	}
}

func newLab(t *testing.T) *lab {
	l := &lab{t: t, prefix: fmt.Sprintf("tpd%d", os.Getpid())}
	l.sweep()
	hosts := []string{"active", "standby", "with", "without", "forwards", "mute"}
	for _, h := range append(hosts, "switch") {
		t.Cleanup(func() { _ = exec.Command("ip", "netns", "del", l.ns(h)).Run() })
		l.run("ip", "netns", "add", l.ns(h))
		l.in(h, "ip", "link", "set", "lo", "up")
	}
	l.in("switch", "ip", "link", "add", "br0", "type", "bridge", "mcast_snooping", "0")
	l.in("switch", "ip", "link", "set", "br0", "up")
	for i, h := range hosts {
		port := fmt.Sprintf("p%d", i)
		l.in("switch", "ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", l.ns(h))
		l.in("switch", "ip", "link", "set", port, "master", "br0", "up")
		l.in(h, "ip", "addr", "add", fmt.Sprintf("192.0.2.%d/24", 11+i), "dev", "eth0")
		l.in(h, "ip", "addr", "add", fmt.Sprintf("2001:db8::%d/64", 11+i), "dev", "eth0", "nodad")
		l.in(h, "ip", "link", "set", "eth0", "up")
		// Strict anti-spoofing everywhere: nothing may need it to be looser.
		l.in(h, "sh", "-c", "for f in all eth0; do echo 1 > /proc/sys/net/ipv4/conf/$f/rp_filter; echo 0 > /proc/sys/net/ipv4/conf/$f/accept_local; done")
	}
	for _, h := range []string{"with", "mute"} {
		l.in(h, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore; echo 2 > /proc/sys/net/ipv4/conf/all/arp_announce")
		l.in(h, "ip", "addr", "add", vip4+"/32", "dev", "lo")
		l.in(h, "ip", "addr", "add", vip6+"/128", "dev", "lo", "nodad")
	}
	l.in("forwards", "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding")
	l.in("active", "ip", "addr", "add", vip4+"/32", "dev", "eth0")
	l.in("active", "ip", "addr", "add", vip6+"/128", "dev", "eth0", "nodad")
	for _, h := range []string{"active", "with", "without", "forwards"} {
		l.start(h, "server")
	}
	return l
}

// process is a test binary in another role.
type process struct {
	t   *testing.T
	in  io.WriteCloser
	out *json.Decoder
}

func (l *lab) start(host, role string) *process {
	l.t.Helper()
	cmd := exec.Command("ip", "netns", "exec", l.ns(host), os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+role, "NAME="+host)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := cmd.StdinPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	if role == "server" {
		if _, err := io.ReadFull(out, make([]byte, len("ready\n"))); err != nil {
			l.t.Fatal(err)
		}
	}
	return &process{t: l.t, in: in, out: json.NewDecoder(out)}
}

func (p *process) ask(o order) answer {
	p.t.Helper()
	var a answer
	if err := errors.Join(json.NewEncoder(p.in).Encode(o), p.out.Decode(&a)); err != nil {
		p.t.Fatal(err)
	}
	return a
}

func (p *process) dial(vip string, server string) answer {
	p.t.Helper()
	v := netip.MustParseAddr(vip)
	// Servers .13 are well.
	return p.ask(order{VIP: netip.AddrPortFrom(v, 104), Server: netip.MustParseAddr(server), Patient: strings.HasSuffix(server, "13")})
}
