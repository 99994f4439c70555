//go:build machine

package insideipvs

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/ipvstest"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// loader is what the kernel loads modules with on demand.
const loader = "/proc/sys/kernel/modprobe"

// withoutLoader keeps the kernel from loading modules until the test ends or restore is called.
func withoutLoader(t *testing.T) (restore func()) {
	t.Helper()
	usual, err := os.ReadFile(loader)
	if err != nil {
		t.Fatal(err)
	}
	set := func(content string) {
		if err := os.WriteFile(loader, []byte(content), 0); err != nil {
			t.Fatal(err)
		}
	}
	set("/absent")
	restore = func() { set(string(usual)) }
	t.Cleanup(restore)
	return restore
}

// TestModuleComesLate has a client that is older than the module.
func TestModuleComesLate(t *testing.T) {
	if _, err := os.Stat("/sys/module/ip_vs"); err == nil {
		t.Fatal("ip_vs is loaded already: this test must be the first in the machine")
	}
	restore := withoutLoader(t)
	c := dial(t)
	for range 2 {
		if _, err := c.Info(bounded(t)); !errors.Is(err, genl.ErrNoModule) || !strings.Contains(err.Error(), "modprobe ip_vs") {
			t.Fatalf("without the module: %v", err)
		}
	}
	if err := c.Apply(bounded(t), []genl.Change{{Command: genl.Zero, Service: plain(genl.ByMark(1, false), "rr")}})[0]; !errors.Is(err, genl.ErrNoModule) {
		t.Fatalf("without the module: %v", err)
	}
	restore()
	netnstest.Run(t, "modprobe", "ip_vs")
	if info, err := c.Info(bounded(t)); err != nil {
		t.Fatalf("after the module came: %v", err)
	} else {
		t.Log(info)
	}
}

// TestModuleIsReloaded takes the module away under a client and gives it back, with a family
// number of its own.
func TestModuleIsReloaded(t *testing.T) {
	c := dial(t)
	service := plain(genl.ByMark(0x54000001, false), "rr")
	must(t, c, genl.Change{Command: genl.NewService, Service: service}, genl.Change{Command: genl.DelService, Service: service})
	restore := withoutLoader(t)
	ipvstest.Unload(t)
	if _, err := c.Services(bounded(t)); !errors.Is(err, genl.ErrNoModule) {
		t.Fatalf("a list without the module: %v", err)
	}
	restore()
	for name, use := range map[string]func() error{
		"list": func() error { _, err := c.Services(bounded(t)); return err },
		"service": func() error {
			_, err := c.Service(bounded(t), service.ServiceID)
			return expect(err, genl.ErrNoService)
		},
		"changes": func() error {
			two := []genl.Change{{Command: genl.NewService, Service: service}, {Command: genl.DelService, Service: service}}
			return errors.Join(c.Apply(bounded(t), two)...)
		},
		"timeouts": func() error { return c.SetTimeouts(bounded(t), genl.Timeouts{UDP: 5 * time.Minute}) },
	} {
		if _, err := c.Info(bounded(t)); err != nil {
			t.Fatal(err)
		}
		ipvstest.Unload(t)
		netnstest.Run(t, "modprobe", "ip_vs")
		if err := use(); err != nil {
			t.Errorf("%s after the module was loaded anew: %v", name, err)
		}
	}
}

func expect(err, want error) error {
	if errors.Is(err, want) {
		return nil
	}
	return errors.Join(errors.New("an unexpected answer"), err)
}
