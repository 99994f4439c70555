package prove_test

import (
	"fmt"
	"strings"
	"testing"
)

// readOnlySysctl runs a command where /proc/sys cannot be written, as in a
// container that is not privileged.
const readOnlySysctl = `mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys && exec "$@"`

func unprivilegedContainer(prefix []string, argv ...string) []string {
	return append([]string{"unshare", "-m", "sh", "-c", readOnlySysctl, "sh"}, with(prefix, argv...)...)
}

// TestProveDevconf: per-interface arp_ignore, arp_announce and accept_local are
// set and read back by rtnetlink where /proc/sys is read-only, with CAP_NET_ADMIN
// alone.
func TestProveDevconf(t *testing.T) {
	w := newWorld(t)
	write := []string{"sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_ignore"}
	if output, status := try(t, w.director, unprivilegedContainer(onlyNetAdmin, write...)...); status == 0 || !strings.Contains(output, "Read-only") {
		t.Fatalf("/proc/sys can be written: exit %d: %s", status, output)
	}
	samples := 0
	for _, user := range [][]string{onlyNetAdmin, nobodyNetAdmin} {
		for ignore := range 3 {
			for announce := range 3 {
				samples++
				checkDevconf(t, w, user, ignore, announce)
			}
		}
	}
	if output, status := try(t, w.director, unprivilegedContainer(nobody, "probe", "devconf-set", nic, "arp_ignore=0")...); status == 0 {
		t.Errorf("it works without a capability, too: %s", output)
	}
	if t.Failed() {
		return
	}
	verdict(t, samples, "RTM_SETLINK sets and RTM_GETLINK reads per-interface ARP settings with CAP_NET_ADMIN alone, /proc/sys read-only")
}

func checkDevconf(t *testing.T, w world, user []string, ignore, announce int) {
	t.Helper()
	settings := []string{fmt.Sprintf("arp_ignore=%d", ignore), fmt.Sprintf("arp_announce=%d", announce), fmt.Sprintf("accept_local=%d", ignore%2)}
	run(t, w.director, unprivilegedContainer(user, append([]string{"probe", "devconf-set", nic}, settings...)...)...)
	want := strings.Join(settings, "\n") + "\n"
	if got := run(t, w.director, "probe", "devconf", nic, "arp_ignore", "arp_announce", "accept_local"); got != want {
		t.Errorf("RTM_GETLINK says %q, want %q", got, want)
	}
	got := run(t, w.director, "sh", "-c", "cd /proc/sys/net/ipv4/conf/eth0; for f in arp_ignore arp_announce accept_local; do echo $f=$(cat $f); done")
	if got != want {
		t.Errorf("/proc/sys says %q, want %q", got, want)
	}
}

// TestProveDevconfTakesEffect: the settings do what they do when they come from
// /proc/sys: an address on lo is not answered for on eth0.
func TestProveDevconfTakesEffect(t *testing.T) {
	w := newWorld(t)
	run(t, w.director, "ip", "addr", "add", vip+"/32", "dev", "lo")
	watch := newWatcher(t, w.client, vip)
	const rounds = 10
	for range rounds {
		run(t, w.director, with(onlyNetAdmin, "probe", "devconf-set", nic, "arp_ignore=0")...)
		watch.awaitReply(t)
		run(t, w.director, with(onlyNetAdmin, "probe", "devconf-set", nic, "arp_ignore=1")...)
		watch.awaitSilence(t)
	}
	verdict(t, rounds, "arp_ignore set by RTM_SETLINK turns answers for an address on lo off and on")
}

// TestProveAddressProtocol: an address keeps its protocol number and label, by
// which an agent knows its own addresses again.
func TestProveAddressProtocol(t *testing.T) {
	w := newWorld(t)
	const rounds = 20
	for i := range rounds {
		address, proto := fmt.Sprintf("192.0.2.%d", 101+i), fmt.Sprint(200+i)
		run(t, w.director, with(onlyNetAdmin, "probe", "address-add", nic, address, "eth0:tp", proto)...)
		if got, want := run(t, w.director, "probe", "address", address), "label=eth0:tp proto="+proto+"\n"; got != want {
			t.Errorf("%s comes back as %q, want %q", address, got, want)
		}
	}
	verdict(t, rounds, "IFA_PROTO and the label eth0:tp come back")
}
