package health

import (
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/testutil/loopback"
	"github.com/truepacs/balancer/dataplane/testutil/printed"
)

// program is a real server on loopback that the test started.
type program struct {
	cmd  *exec.Cmd
	log  *printed.Text
	port uint16
	http uint16 // Orthanc only
}

// start runs a server and waits until every port accepts connections. It dies with the test.
func start(t *testing.T, p *program, name string, args ...string) *program {
	t.Helper()
	p.log = &printed.Text{}
	p.cmd = exec.Command(name, args...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("%v; install packages dcmtk and orthanc", err)
	}
	t.Cleanup(p.kill)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s: %s", name, p.log)
		}
	})
	for _, port := range []uint16{p.port, p.http} {
		if port != 0 {
			p.waitFor(t, port)
		}
	}
	return p
}

func (p *program) waitFor(t *testing.T, port uint16) {
	t.Helper()
	for range 600 {
		if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			c.Close()
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("%s does not listen on port %d", p.cmd.Path, port)
}

// kill ends the server, even a stopped one, and reaps it. Calling it again does nothing.
func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *program) dicom() netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), p.port)
}

func startStoreSCP(t *testing.T) *program {
	p := &program{port: loopback.FreePort(t)}
	return start(t, p, "storescp", "-od", t.TempDir(), fmt.Sprint(p.port))
}

// startQueryRetrieve starts dcmqrscp, which answers to the called AE title ARCHIVE only.
func startQueryRetrieve(t *testing.T) *program {
	t.Helper()
	p, dir := &program{port: loopback.FreePort(t)}, t.TempDir()
	config := fmt.Sprintf("NetworkTCPPort = %d\nMaxPDUSize = 16384\nMaxAssociations = 16\nHostTable BEGIN\nHostTable END\n"+
		"VendorTable BEGIN\nVendorTable END\nAETable BEGIN\nARCHIVE %s RW (9, 1024mb) ANY\nAETable END\n", p.port, dir)
	return start(t, p, "dcmqrscp", "-c", writeFile(t, dir, "dcmqrscp.cfg", config))
}

// startOrthanc starts Orthanc with the called AE title checked and the given further settings.
func startOrthanc(t *testing.T, settings map[string]any) *program {
	t.Helper()
	p, dir := &program{port: loopback.FreePort(t), http: loopback.FreePort(t)}, t.TempDir()
	config := map[string]any{
		"Name": "test", "StorageDirectory": filepath.Join(dir, "storage"), "IndexDirectory": filepath.Join(dir, "index"),
		"DicomAet": "ORTHANC", "DicomPort": p.port, "HttpPort": p.http, "DicomCheckCalledAet": true, "Plugins": []string{},
	}
	for k, v := range settings {
		config[k] = v
	}
	b, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, p, "Orthanc", writeFile(t, dir, "orthanc.json", string(b)))
}

func writeFile(t *testing.T, dir, name, content string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func echo(called, calling string) Check {
	return Check{Type: DICOMEcho, DICOM: DICOMCheck{CalledAETitle: called, CallingAETitle: calling}}
}

func TestRealStoreSCP(t *testing.T) {
	t.Parallel()
	p := startStoreSCP(t)
	for range 3 {
		if r := probeOnce(t, p.dicom(), echo("ANY", "TPBALANCER")); r != (Result{}) {
			t.Fatalf("%+v", r)
		}
	}
	if r := probeOnce(t, p.dicom(), Check{Type: TCP}); r != (Result{}) {
		t.Errorf("%+v", r)
	}
}

func TestRealQueryRetrieve(t *testing.T) {
	t.Parallel()
	p := startQueryRetrieve(t)
	if r := probeOnce(t, p.dicom(), echo("ARCHIVE", "TPBALANCER")); r != (Result{}) {
		t.Errorf("%+v", r)
	}
	r := probeOnce(t, p.dicom(), echo("WRONG", "TPBALANCER"))
	if r.Reason != AETitleRejected || !strings.Contains(r.Message, "Set healthChecks.dicomEcho.calledAETitle") {
		t.Errorf("wrong called AE title: %+v", r)
	}
}

func TestRealOrthanc(t *testing.T) {
	t.Parallel()
	p := startOrthanc(t, map[string]any{"AuthenticationEnabled": false})
	if r := probeOnce(t, p.dicom(), echo("ORTHANC", "TPBALANCER")); r != (Result{}) {
		t.Errorf("%+v", r)
	}
	if r := probeOnce(t, p.dicom(), echo("WRONG", "TPBALANCER")); r.Reason != AETitleRejected {
		t.Errorf("wrong called AE title: %+v", r)
	}
	web := netip.AddrPortFrom(p.dicom().Addr(), p.http)
	system := HTTPCheck{Path: "/system", ExpectedStatuses: []int{200}, ExpectedBody: `"DicomAet" : "ORTHANC"`}
	if r := probeOnce(t, web, Check{Type: HTTP, HTTP: system}); r != (Result{}) {
		t.Errorf("/system: %+v", r)
	}
	system.ExpectedBody = `"DicomAet" : "ANOTHER"`
	if r := probeOnce(t, web, Check{Type: HTTP, HTTP: system}); r.Reason != UnexpectedBody {
		t.Errorf("wrong body: %+v", r)
	}
	if r := probeOnce(t, web, Check{Type: HTTP, HTTP: HTTPCheck{Path: "/nowhere"}}); r.Reason != UnexpectedStatus {
		t.Errorf("wrong path: %+v", r)
	}
	if r := probeOnce(t, web, echo("ORTHANC", "TPBALANCER")); r.Reason != ProtocolError && r.Reason != ConnectionClosed {
		t.Errorf("C-ECHO to the web port: %+v", r)
	}
}

// Orthanc accepts the association of a stranger and aborts at C-ECHO.
func TestRealOrthancWithHostCheck(t *testing.T) {
	t.Parallel()
	p := startOrthanc(t, map[string]any{
		"DicomAlwaysAllowEcho": false, "DicomCheckModalityHost": true,
		"DicomModalities": map[string]any{
			"here": []any{"TPBALANCER", "127.0.0.1", 4242}, "elsewhere": []any{"MOVED", "192.0.2.9", 4242},
		},
	})
	if r := probeOnce(t, p.dicom(), echo("ORTHANC", "TPBALANCER")); r != (Result{}) {
		t.Errorf("%+v", r)
	}
	for _, calling := range []string{"STRANGER", "MOVED"} {
		r := probeOnce(t, p.dicom(), echo("ORTHANC", calling))
		if r.Reason != AssociationAborted || !strings.Contains(r.Message, `calling AE title "`+calling+`" is not registered`) {
			t.Errorf("%s: %+v", calling, r)
		}
	}
}

// The whole Monitor over the life of a real server: up, hanging, up again, dead, up again.
func TestRealServerUpAndDown(t *testing.T) {
	t.Parallel()
	p := startStoreSCP(t)
	changes := make(chan Verdict, 100)
	m := NewMonitor(Config{OnChange: func(_ string, v Verdict) { changes <- v }})
	defer m.Close()
	await := func(what string, want func(Verdict) bool) Verdict {
		t.Helper()
		limit := time.After(60 * time.Second)
		for {
			select {
			case v := <-changes:
				if want(v) {
					return v
				}
			case <-limit:
				t.Fatalf("no verdict that is %s; last %+v", what, m.Verdicts())
			}
		}
	}
	healthy := func(v Verdict) bool { return v.Healthy }
	down := func(r Reason) func(Verdict) bool {
		return func(v Verdict) bool { return !v.Healthy && v.Known && v.Reason == r }
	}
	c := echo("ANY", "TPBALANCER")
	c.Port, c.Period, c.FastPeriod, c.Timeout = p.port, 200*time.Millisecond, 50*time.Millisecond, time.Second
	m.Set([]Target{{Key: "a", Address: p.dicom().Addr(), Checks: []Check{c}}})
	await("healthy", healthy)

	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	v := await("hanging", down(ResponseTimeout))
	if v.Cause != DICOMEcho || !strings.Contains(v.Message, p.dicom().String()) {
		t.Errorf("%+v", v)
	}
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	await("healthy after SIGCONT", healthy)

	p.kill()
	await("refusing", down(ConnectionRefused))
	start(t, &program{port: p.port}, "storescp", "-od", t.TempDir(), fmt.Sprint(p.port))
	await("healthy after restart", healthy)
}
