package health

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/dicom"
	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"go.uber.org/goleak"
)

// serverVariable makes the test binary serve for a benchmark instead of testing, so that the CPU of
// the servers is not counted as the Monitor's.
const serverVariable = "TRUEPACS_HEALTH_TEST_SERVER"

// serverPorts is how many ports the targets share: few probes a second for each, so that closed
// connections in TIME_WAIT do not use up the local ports.
const serverPorts = 20

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		runServer()
		return
	}
	if os.Getenv(checkerVariable) != "" {
		runChecker()
		return
	}
	goleak.VerifyTestMain(m)
}

// runServer answers C-ECHO and HTTP until its standard input ends.
func runServer() {
	for range serverPorts {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Println(l.Addr())
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				go answer(c)
			}
		}()
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// answer serves one connection in the protocol of its first byte.
func answer(c net.Conn) {
	defer c.Close()
	r := bufio.NewReader(c)
	first, err := r.Peek(1)
	if err != nil {
		return
	}
	if first[0] == 'G' {
		if _, err := http.ReadRequest(r); err == nil {
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nDB-OK")
		}
		return
	}
	set, _ := dicom.Command{Field: dicom.CEchoRSP, RespondedTo: 1}.Append(nil)
	rsp := dicom.PData{PDVs: []dicom.PDV{{ContextID: 1, Command: true, Last: true, Data: set}}}
	scp(map[dicom.PDUType]dicom.PDU{
		dicom.TypeAssociateRQ: accepted(dicom.ContextAccepted), dicom.TypePData: rsp, dicom.TypeReleaseRQ: dicom.ReleaseRP{},
	}, make(chan []dicom.PDUType, 1))(&buffered{c, r})
}

// buffered is a connection that is read through a reader which has looked ahead.
type buffered struct {
	net.Conn
	r *bufio.Reader
}

func (b *buffered) Read(p []byte) (int, error) { return b.r.Read(p) }

// startServer runs this binary as a server and returns its addresses.
func startServer(tb testing.TB) (*exec.Cmd, []netip.AddrPort) {
	tb.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverVariable+"=1")
	in, err := cmd.StdinPipe()
	if err != nil {
		tb.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		tb.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	var list []netip.AddrPort
	for lines := bufio.NewScanner(out); len(list) < serverPorts && lines.Scan(); {
		list = append(list, netip.MustParseAddrPort(strings.TrimSpace(lines.Text())))
	}
	return cmd, list
}

// lines collects what a process prints.
type lines struct{ printed.Text }

func (l *lines) all() []string { return strings.Fields(l.String()) }

// await waits until what was printed is as it should be.
func (l *lines) await(tb testing.TB, is func(all []string) bool) {
	tb.Helper()
	for range 600 {
		if is(l.all()) {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	tb.Fatalf("the process printed:\n%s", l.String())
}

// cpu is the time that this process has had of a core.
func cpu() (user, system time.Duration) {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}

// BenchmarkThousandTargets checks 1,000 targets every second for 10 s and prints the CPU of this
// process in per cent of one core.
func BenchmarkThousandTargets(b *testing.B) {
	for name, c := range map[string]Check{
		"TCP":       {Type: TCP},
		"mixed":     {},
		"HTTP":      {Type: HTTP, HTTP: HTTPCheck{ExpectedBody: "DB-OK"}},
		"DICOMEcho": echoCheck,
	} {
		b.Run(name, func(b *testing.B) {
			_, servers := startServer(b)
			targets := thousand(servers)
			for i := range targets {
				if name != "mixed" {
					c.Port, c.Period = targets[i].Checks[0].Port, time.Second
					targets[i].Checks[0] = c
				}
			}
			m := NewMonitor(Config{})
			defer m.Close()
			m.Set(targets)
			time.Sleep(2 * time.Second)
			for b.Loop() {
				user, system := cpu()
				time.Sleep(10 * time.Second)
				u, s := cpu()
				b.ReportMetric(float64(u-user)/float64(10*time.Second)*100, "%user")
				b.ReportMetric(float64(s-system)/float64(10*time.Second)*100, "%system")
			}
			down := 0
			for _, v := range m.Verdicts() {
				if !v.Healthy {
					down++
				}
			}
			b.ReportMetric(float64(down), "down")
		})
	}
}
