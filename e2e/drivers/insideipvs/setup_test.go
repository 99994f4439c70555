//go:build machine

package insideipvs

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
	"github.com/truepacs/balancer/dataplane/netif/netnstest"
)

// client is IPVS in a network namespace of the test's own, with the rights of a pod. Its services go
// before the namespace does, which takes a while: until then the next test's table would lack some.
func client(t testing.TB) *genl.Client {
	t.Helper()
	netnstest.Enter(t)
	t.Cleanup(func() {
		if out, err := exec.Command("ipvsadm", "-C").CombinedOutput(); err != nil {
			t.Errorf("ipvsadm -C: %v\n%s", err, out)
		}
	})
	return dial(t)
}

// dial opens a client where the test is.
func dial(t testing.TB) *genl.Client {
	t.Helper()
	c, err := genl.Dial(genl.Config{Timeout: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func bounded(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// must applies changes that have to succeed.
func must(t testing.TB, c *genl.Client, changes ...genl.Change) {
	t.Helper()
	for i, err := range c.Apply(bounded(t), changes) {
		if err != nil {
			t.Fatalf("%s: %v", changes[i], err)
		}
	}
}

// table reads the namespace's table of services.
func table(t testing.TB) []procfs.Service {
	t.Helper()
	file, err := os.Open(procfs.TablePath)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var all []procfs.Service
	_, err = procfs.EachService(file, func(s *procfs.Service) error {
		one := *s
		one.Destinations = append([]procfs.Destination(nil), s.Destinations...)
		all = append(all, one)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
