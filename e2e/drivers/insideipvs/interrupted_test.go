//go:build machine

package insideipvs

import (
	"errors"
	"os"
	"sync"
	"testing"

	"github.com/mdlayher/netlink"
	vish "github.com/vishvananda/netlink"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/ipvs/procfs"
)

const (
	stable   = 1000 // services that are there all the time
	attempts = 40   // lists
)

// churn adds and removes services until stop is called, with a client of its own.
func churn(t *testing.T) (stop func()) {
	t.Helper()
	c := dial(t)
	ctx := bounded(t)
	end := make(chan struct{})
	var changers sync.WaitGroup
	changers.Go(func() {
		for round := uint32(0); ; round++ {
			select {
			case <-end:
				return
			default:
			}
			var all []genl.Change
			for _, command := range []genl.Command{genl.NewService, genl.DelService} {
				for i := range uint32(20) {
					all = append(all, genl.Change{Command: command, Service: plain(genl.ByMark(1+round%977*20+i, false), "rr")})
				}
			}
			for _, err := range c.Apply(ctx, all) {
				if err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
			}
		}
	})
	return sync.OnceFunc(func() { close(end); changers.Wait() })
}

func makeStable(t *testing.T, c *genl.Client) {
	t.Helper()
	var all []genl.Change
	for i := range uint32(stable) {
		all = append(all, genl.Change{Command: genl.NewService, Service: plain(genl.ByMark(0x54000000+i, false), "rr")})
	}
	must(t, c, all...)
}

// TestListsThatOthersChange reads lists while services come and go. Whatever the kernel does, a
// list has no service twice, and the client keeps in step. How often the kernel says that a list
// was interrupted, and how often one that was there all the time is missing, is printed.
func TestListsThatOthersChange(t *testing.T) {
	c := client(t)
	makeStable(t, c)
	raw := rawConn(t)
	stop := churn(t)
	defer stop()
	var lists, missing, given, flagged int
	for range attempts {
		flagged += interruptedParts(t, raw)
		services, err := c.Services(bounded(t))
		if errors.Is(err, genl.ErrInterrupted) {
			given++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		lists++
		seen := map[genl.ServiceID]bool{}
		for _, s := range services {
			if seen[s.ServiceID] {
				t.Errorf("%s comes twice", s.ServiceID)
			}
			seen[s.ServiceID] = true
		}
		if !complete(seen) {
			missing++
		}
	}
	stop()
	t.Logf("%d lists while others change: %d read, %d given up as interrupted, %d lack a service that was there all the time; "+
		"the kernel set NLM_F_DUMP_INTR on %d messages of as many more", attempts, lists, given, missing, flagged)
	services, err := c.Services(bounded(t))
	if err != nil || len(services) != stable {
		t.Errorf("after all is quiet: %d services, %v", len(services), err)
	}
}

func complete(seen map[genl.ServiceID]bool) bool {
	for i := range uint32(stable) {
		if !seen[genl.ByMark(0x54000000+i, false)] {
			return false
		}
	}
	return true
}

func rawConn(t *testing.T) *netlink.Conn {
	t.Helper()
	raw, err := netlink.Dial(16, nil) // NETLINK_GENERIC
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	return raw
}

// interruptedParts counts the messages of one list that the kernel marks as interrupted, with
// another program's netlink library.
func interruptedParts(t *testing.T, raw *netlink.Conn) (n int) {
	t.Helper()
	family, err := vish.GenlFamilyGet("IPVS")
	if err != nil {
		t.Fatal(err)
	}
	request := netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(family.ID), Flags: netlink.Request | netlink.Dump},
		Data:   []byte{4, 1, 0, 0}, // IPVS_CMD_GET_SERVICE
	}
	if _, err := raw.Send(request); err != nil {
		t.Fatal(err)
	}
	messages, err := raw.Receive()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if m.Header.Flags&netlink.DumpInterrupted != 0 {
			n++
		}
	}
	return n
}

// TestTableOfOneNamespace has services in another network namespace, too. The kernel loses its place
// in the table then, and services are missing that are there. The test prints how many; a kernel
// that has them all would be no mistake. Netlink must have them all.
func TestTableOfOneNamespace(t *testing.T) {
	done := make(chan struct{})
	made := make(chan struct{})
	var foreign sync.WaitGroup
	defer foreign.Wait()
	defer close(done)
	foreign.Go(func() { // a subtest, for it has to have a thread of its own
		t.Run("foreign", func(t *testing.T) {
			defer close(made)
			makeStable(t, client(t))
			made <- struct{}{}
			<-done
		})
	})
	<-made
	c := client(t)
	makeStable(t, c)
	services, err := c.Services(bounded(t))
	if err != nil || len(services) != stable {
		t.Errorf("netlink has %d services, want %d, %v", len(services), stable, err)
	}
	if _, err := os.Stat(procfs.TablePath); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d services here and as many in another namespace: the table has %d, netlink %d", stable, len(table(t)), len(services))
}
