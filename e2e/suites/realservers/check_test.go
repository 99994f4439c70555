package realservers

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// findings runs realserver-check and returns the kinds of what it finds, each once, and the remedies.
// The exit status must say whether there is something.
func findings(t *testing.T, host lab.Host, arguments string) (kinds []string, remedies string) {
	t.Helper()
	result, err := host.Run(t.Context(), "sh", "-c", program+" realserver-check -o json "+arguments)
	suite.Must(t, err)
	var found []struct{ Kind, Message, Remedy string }
	if err := json.Unmarshal([]byte(result.Stdout), &found); err != nil {
		t.Fatalf("%s says %q: %v\n%s", host.Name(), result.Stdout, err, result.Stderr)
	}
	if (len(found) > 0) != (result.ExitCode == 1) || result.ExitCode > 1 {
		t.Errorf("%d findings and exit status %d", len(found), result.ExitCode)
	}
	for _, f := range found {
		kinds = append(kinds, f.Kind)
		remedies += f.Remedy + "\n"
	}
	slices.Sort(kinds)
	return slices.Compact(kinds), remedies
}

// fault is one thing that is broken on a prepared server, and what realserver-check says about it.
type fault struct {
	command string
	inside  []string // on the server
	outside []string // from the director
	mend    string   // a command that the remedy names
}

const check4, check6 = " --server pacs-a", " --server pacs-a-v6"

func faults() []fault {
	const enable = "systemctl enable --now truepacs-realserver.service truepacs-realserver.timer"
	return []fault{
		{"ip address del 192.0.2.100/32 dev lo", []string{"VIPMissing"}, []string{"VIPMissing"}, "ip address add 192.0.2.100/32 dev lo scope host"},
		{"ip address del 2001:db8::100/128 dev lo", []string{"VIPMissing"}, []string{"VIPMissing"}, "ip address add 2001:db8::100/128 dev lo nodad preferred_lft 0 noprefixroute"},
		{"sysctl -w net.ipv4.conf.eth0.arp_ignore=0", []string{"VIPAnswersARP"}, []string{"VIPAnswersARP"}, "sysctl -w net.ipv4.conf.eth0.arp_ignore=1"},
		{"sysctl -w net.ipv4.conf.eth0.arp_announce=0", []string{"ARPAnnounces"}, nil, "sysctl -w net.ipv4.conf.eth0.arp_announce=2"},
		{"ip address add 192.0.2.100/32 dev eth0", []string{"VIPOnInterface"}, []string{"VIPAnswersARP"}, "ip address del 192.0.2.100/32 dev eth0"},
		{"ip address add 2001:db8::100/128 dev eth0 nodad", []string{"VIPOnInterface"}, []string{"VIPAnswersARP"}, "ip address del 2001:db8::100/128 dev eth0"},
		{"ip address change 2001:db8::100/128 dev lo preferred_lft forever", []string{"VIPUsedAsSource"}, nil, "ip address change 2001:db8::100/128 dev lo preferred_lft 0"},
		{"nft flush ruleset", []string{"UndeclaredPortsAnswer"}, []string{"UndeclaredPortsAnswer"}, "sh /usr/local/sbin/truepacs-realserver --apply"},
		{"systemctl disable truepacs-realserver.service", []string{"NotAfterReboot"}, nil, enable},
		{"systemctl stop pacs", []string{"NobodyListens"}, []string{"NobodyListens"}, "start the PACS"},
		{"ip link set eth0 mtu 1400", []string{"MTUMismatch"}, nil, "ip link set eth0 mtu 1500"},
	}
}

// wantFaultsSeen provokes each fault on a server that the script has prepared, and mends it by the
// command that realserver-check names.
func (w *world) wantFaultsSeen(t *testing.T) {
	t.Helper()
	const inside = "--mtu 1500 -f " + copyOfManifest
	for _, f := range append([]fault{{command: "true"}}, faults()...) {
		// What mends itself would be mended before it is seen.
		mustRun(t, w.server, "systemctl stop truepacs-realserver.timer truepacs-realserver.service; "+f.command)
		got, remedies := findings(t, w.server, inside)
		if diff := cmp.Diff(f.inside, got); diff != "" || !strings.Contains(remedies, f.mend) {
			t.Errorf("%s: on the server (-want +got):\n%s\nremedies, of which one should name %q: %s", f.command, diff, f.mend, remedies)
		}
		fromDirector := check4
		if strings.Contains(f.command, ":") {
			fromDirector = check6
		}
		w.wantFromDirector(t, f, fromDirector)
		if f.mend == "start the PACS" {
			f.mend = "systemctl start pacs && sleep 1"
		}
		mustRun(t, w.server, "true; "+f.mend)
		if got, _ := findings(t, w.server, inside); len(got) > 0 {
			t.Errorf("%s: mended by %q, and yet %v", f.command, f.mend, got)
		}
	}
	mustRun(t, w.server, "systemctl start truepacs-realserver.timer")
	suite.Verdict(t, "realserver-check: quiet when sound, %d faults named and mended by what it says", len(faults()))
}

// wantFromDirector looks from the director, again if the machines are too slow to answer in time.
func (w *world) wantFromDirector(t *testing.T, f fault, arguments string) {
	t.Helper()
	var got []string
	for range 5 {
		if got, _ = findings(t, w.director, arguments); slices.Equal(got, f.outside) {
			return
		}
	}
	t.Errorf("%s: from the director %v, want %v", f.command, got, f.outside)
}

// wantRepair flushes the firewall, as a restart of nftables does: the decoy is seen at the virtual
// address, until the server mends itself.
func (w *world) wantRepair(t *testing.T) {
	t.Helper()
	to := w.serverAt(t, vip4)
	decoy := func() bool {
		got, err := scan(w.client, to, firstPacket, []uint16{decoySSH}, twice)
		suite.Must(t, err)
		return got[decoySSH] != 0
	}
	mustRun(t, w.server, "systemctl stop truepacs-realserver.timer truepacs-realserver.service; nft flush ruleset")
	if !decoy() {
		t.Error("without the firewall's rules the scan does not see the decoy: it proves nothing")
	}
	mustRun(t, w.server, "systemctl start truepacs-realserver.timer")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	began := time.Now()
	suite.Must(t, site.Until(ctx, "the server mends itself", func() error {
		if decoy() {
			return errDecoy
		}
		return ctx.Err()
	}))
	suite.Verdict(t, "the flushed rules are back after %s", time.Since(began).Round(time.Second))
}
