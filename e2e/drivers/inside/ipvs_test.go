//go:build machine

package inside

import (
	"context"
	"errors"
	"io/fs"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/ipvs"
	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// kernel is IPVS in a network namespace of the test's own, with the rights of a pod. Its services go
// before the namespace does, which takes a while: until then the next test's table would lack some.
func kernel(t testing.TB) ipvs.Kernel {
	t.Helper()
	netnstest.Enter(t)
	t.Cleanup(func() {
		if out, err := exec.Command("ipvsadm", "-C").CombinedOutput(); err != nil {
			t.Errorf("ipvsadm -C: %v\n%s", err, out)
		}
	})
	n := &ipvs.Netlink{}
	t.Cleanup(n.Close)
	return n
}

// TestLateModule starts before ip_vs is loaded, as an agent does that is started before the
// administrator has read its complaint.
func TestLateModule(t *testing.T) {
	if loaded(t) {
		t.Fatal("ip_vs is loaded already: this test must be the first in the machine")
	}
	const loader = "/proc/sys/kernel/modprobe" // what the kernel loads modules with on demand
	if err := ipvs.New(ipvs.Config{Kernel: &ipvs.Netlink{}}).Set(t.Context(), nil); err != nil || loaded(t) {
		t.Fatalf("without services the module was loaded, or %v", err)
	}
	usual, err := os.ReadFile(loader)
	if err != nil {
		t.Fatal(err)
	}
	write(t, loader, "/absent")
	path := os.Getenv("PATH")
	t.Setenv("PATH", t.TempDir()) // no modprobe, as in a container
	n := &ipvs.Netlink{}
	defer n.Close()
	driver := ipvs.New(ipvs.Config{Kernel: n})
	if err := driver.Set(t.Context(), nil); err != nil {
		t.Fatalf("without the module and without services: %v", err)
	}
	items, rest := model.ItemErrors(driver.Set(t.Context(), []model.VirtualService{ipvstest.Web()}))
	item := items[ipvstest.Web().Key]
	if rest != nil || item == nil || item.Reason != ipvs.ReasonModuleMissing || !strings.Contains(item.Error(), "modprobe ip_vs") {
		t.Fatalf("without the module: %v, %v", items, rest)
	}
	write(t, loader, string(usual))
	t.Setenv("PATH", path)
	netnstest.Run(t, "modprobe", "ip_vs")
	if err := driver.Available(t.Context()); err != nil {
		t.Fatalf("after the module came: %v", err)
	}
	if err := driver.Set(t.Context(), []model.VirtualService{ipvstest.Web()}); err != nil {
		t.Fatalf("after the module came: %v", err)
	}
	if err := driver.Set(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0); err != nil {
		t.Fatal(err)
	}
}

func loaded(t *testing.T) bool {
	t.Helper()
	_, err := os.Stat("/sys/module/ip_vs")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return err == nil
}

func TestContractOfTheKernel(t *testing.T) {
	ipvstest.Contract(t, func(t *testing.T) ipvs.Kernel { return kernel(t) })
}

// TestIpvsadmSeesTheServices has ipvsadm as the witness.
func TestIpvsadmSeesTheServices(t *testing.T) {
	k := kernel(t)
	narrow := ipvstest.Web()
	narrow.Persistence = &model.Persistence{Timeout: ipvstest.Dicom().Persistence.Timeout, PrefixLength: 24}
	if err := ipvs.New(ipvs.Config{Kernel: k}).Set(t.Context(), []model.VirtualService{ipvstest.Dicom(), narrow}); err != nil {
		t.Fatal(err)
	}
	want := `-A -f 1409286145 -s wlc -p 300
-a -f 1409286145 -r 192.0.2.11:0 -g -w 100
-a -f 1409286145 -r 192.0.2.12:0 -g -w 100
-A -f 1409286146 -s rr -p 300 -M 255.255.255.0
-a -f 1409286146 -r 192.0.2.11:0 -g -w 1
`
	if diff := cmp.Diff(want, netnstest.Run(t, "ipvsadm", "-S", "-n")); diff != "" {
		t.Errorf("ipvsadm shows (-want +got):\n%s", diff)
	}
}

// TestWhatIpvsadmMadeIsAdopted: services of ours and of others that ipvsadm made.
func TestWhatIpvsadmMadeIsAdopted(t *testing.T) {
	k := kernel(t)
	for _, arguments := range []string{
		"-A -f 0x54000002 -s rr", "-a -f 0x54000002 -r 192.0.2.11 -g -w 1",
		"-A -f 0x54000009 -s rr", "-A -f 7 -s wrr -p 50", "-a -f 7 -r 192.0.2.77 -m", "-A -t 198.51.100.1:80 -s rr",
	} {
		fields := strings.Fields(arguments)
		if strings.HasPrefix(fields[2], "0x") {
			fields[2] = map[string]string{"0x54000002": "1409286146", "0x54000009": "1409286153"}[fields[2]]
		}
		netnstest.Run(t, "ipvsadm", fields...)
	}
	spy := &steps{Kernel: k}
	if err := ipvs.New(ipvs.Config{Kernel: spy}).Set(t.Context(), []model.VirtualService{ipvstest.Web()}); err != nil {
		t.Fatal(err)
	}
	if len(spy.seen) != 1 || spy.seen[0].Command != genl.DelService || spy.seen[0].Service.Mark != 0x54000009 {
		t.Errorf("steps %+v, want one that removes the leftover", spy.seen)
	}
	out := netnstest.Run(t, "ipvsadm", "-S", "-n")
	for _, line := range []string{"-A -f 7 -s wrr -p 50", "-a -f 7 -r 192.0.2.77:0 -m -w 1", "-A -t 198.51.100.1:80 -s rr"} {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("%q is gone from:\n%s", line, out)
		}
	}
}

type steps struct {
	ipvs.Kernel
	seen []genl.Change
}

func (s *steps) Apply(ctx context.Context, changes []genl.Change) []error {
	s.seen = append(s.seen, changes...)
	return s.Kernel.Apply(ctx, changes)
}

// TestAnswersOfTheKernel are those that the fake gives, too.
func TestAnswersOfTheKernel(t *testing.T) {
	web := genl.Service{ServiceID: genl.ByMark(0x54000002, false), Scheduler: "rr", PrefixLength: 32}
	unknown := web
	unknown.Scheduler = "nosuch"
	d := genl.Destination{Address: netip.AddrPortFrom(ipvstest.Web().Servers[0].Address, 0), Forward: genl.DirectRoute, Weight: 1}
	other, group, six := d, d, d
	other.Address = netip.AddrPortFrom(d.Address.Addr().Next(), 0)
	group.Address = netip.MustParseAddrPort("224.0.0.9:0")
	six.Address = netip.MustParseAddrPort("[2001:db8::1]:0")
	tests := []struct {
		name   string
		change genl.Change
		want   error
	}{
		{"change what is not there", genl.Change{Command: genl.SetService, Service: web}, syscall.ESRCH},
		{"remove what is not there", genl.Change{Command: genl.DelService, Service: web}, syscall.ESRCH},
		{"server of nothing", genl.Change{Command: genl.NewDest, Service: web, Destination: d}, syscall.ESRCH},
		{"add", genl.Change{Command: genl.NewService, Service: web}, nil},
		{"add twice", genl.Change{Command: genl.NewService, Service: web}, syscall.EEXIST},
		{"add server", genl.Change{Command: genl.NewDest, Service: web, Destination: d}, nil},
		{"add server twice", genl.Change{Command: genl.NewDest, Service: web, Destination: d}, syscall.EEXIST},
		{"remove no server", genl.Change{Command: genl.DelDest, Service: web, Destination: other}, syscall.ENOENT},
		{"change no server", genl.Change{Command: genl.SetDest, Service: web, Destination: other}, syscall.ENOENT},
		{"server is a group", genl.Change{Command: genl.NewDest, Service: web, Destination: group}, syscall.EINVAL},
		{"server of the other family", genl.Change{Command: genl.NewDest, Service: web, Destination: six}, syscall.EINVAL},
	}
	k := kernel(t)
	for name, k := range map[string]ipvs.Kernel{"fake": &ipvs.Fake{}, "kernel": k} {
		for _, tc := range tests {
			if err := k.Apply(t.Context(), []genl.Change{tc.change})[0]; !errors.Is(err, tc.want) {
				t.Errorf("%s: %s: %v, want %v", name, tc.name, err, tc.want)
			}
		}
	}
	if err := k.Apply(t.Context(), []genl.Change{{Command: genl.SetService, Service: unknown}})[0]; !errors.Is(err, syscall.ENOENT) {
		t.Errorf("unknown scheduler: %v", err)
	}
}

// hostSettings are all settings of IPVS of the machine: sysctls, and timeouts as ipvsadm shows them.
func hostSettings(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{"timeouts": strings.TrimSpace(netnstest.Run(t, "ipvsadm", "-l", "--timeout"))}
	files, err := filepath.Glob(ipvs.DefaultSysctlDir + "/*")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d settings, %v", len(files), err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(file)] = strings.TrimSpace(string(b))
	}
	return all
}

// TestSettingsOfTheHost writes the machine's own settings; in a pod they are read-only. Each step is of
// a driver that was just started and reads the record of the one before.
func TestSettingsOfTheHost(t *testing.T) {
	n, record := &ipvs.Netlink{}, filepath.Join(t.TempDir(), "ipvs.json")
	defer n.Close()
	set := func(timeouts model.IPVSTimeouts, all ...model.VirtualService) {
		t.Helper()
		d := ipvs.New(ipvs.Config{Kernel: n, RecordPath: record, Boot: "now"})
		if err := errors.Join(d.Set(t.Context(), all), d.SetSettings(t.Context(), timeouts)); err != nil {
			t.Fatal(err)
		}
	}
	write(t, ipvs.DefaultSysctlDir+"/conn_reuse_mode", "1")
	before := hostSettings(t)
	check := func(changed ...string) {
		t.Helper()
		want, got := map[string]string{}, map[string]string{}
		for i := 0; i < len(changed); i += 2 {
			want[changed[i]] = changed[i+1]
		}
		for name, value := range hostSettings(t) {
			if value != before[name] {
				got[name] = value
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("changed (-want +got):\n%s", diff)
		}
	}
	always := []string{"expire_quiescent_template", "1", "expire_nodest_conn", "1", "conn_reuse_mode", "3", "schedule_icmp", "1"}
	s := ipvstest.Web()
	s.Forwarding, s.Scheduler = model.SNAT, model.MaglevHash
	set(model.IPVSTimeouts{TCP: time.Hour, UDP: time.Minute}, s)
	check(append(always, "sloppy_tcp", "1", "conntrack", "1", "timeouts", "Timeout (tcp tcpfin udp): 3600 120 60")...)
	set(model.IPVSTimeouts{}, ipvstest.Web())
	check(always...)
	set(model.IPVSTimeouts{})
	check()

	netnstest.Run(t, "ipvsadm", "-A", "-f", "7", "-s", "rr") // another program, from now on
	set(model.IPVSTimeouts{}, ipvstest.Web())
	set(model.IPVSTimeouts{})
	check(always...)
	netnstest.Run(t, "ipvsadm", "-D", "-f", "7")
	set(model.IPVSTimeouts{})
	check()
}

func TestSysctlsInAPodSayWhatToDo(t *testing.T) {
	k := kernel(t)
	d := ipvs.New(ipvs.Config{Kernel: k})
	if err := d.Set(t.Context(), []model.VirtualService{ipvstest.Web()}); err != nil {
		t.Fatal(err)
	}
	before := hostSettings(t)
	err := d.SetSettings(t.Context(), model.IPVSTimeouts{})
	if diff := cmp.Diff(before, hostSettings(t)); diff != "" || err == nil || !strings.Contains(err.Error(), "mount the host's") {
		t.Errorf("%v, changed:\n%s", err, diff)
	}
}
