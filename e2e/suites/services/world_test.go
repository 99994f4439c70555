package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// checksDir has the programs of checks on the director.
const checksDir = "/etc/truepacs-checks"

// program is what decides for type External: the status that a file names, else 0.
const program = `#!/bin/sh
file=/tmp/verdict-$TRUEPACS_SERVER_ADDRESS
[ -e "$file" ] || exit 0
echo "the file says $(cat "$file")"
exit "$(cat "$file")"
`

// world is a site whose servers say who they are and whose checks the stories decide.
type world struct {
	*site.Site
	ctx   context.Context
	hosts map[string]*lab.Namespace // servers by name

	mu      sync.Mutex
	gates   map[string]net.Listener // what answers checks, by server and port
	answers map[string]string       // what agents answer, by server
	edits   sync.Mutex

	marks  map[int]string // firewall marks, decimal, by port
	saved  shared[string] // what ipvsadm saves
	states shared[[]v1alpha1.TruePACSBalancer]
}

func newWorld(t *testing.T) *world {
	t.Helper()
	binary, err := site.Program()
	suite.Must(t, err)
	s, err := site.New(t.Context(), site.Options{
		Binary: binary, Log: t.Logf, Tools: []string{"conntrack"}, RunArguments: []string{"--checks-dir", checksDir},
	})
	suite.Must(t, err)
	t.Cleanup(func() { suite.Must(t, s.Close()) })
	w := &world{Site: s, ctx: t.Context(), hosts: map[string]*lab.Namespace{}, gates: map[string]net.Listener{}, answers: map[string]string{}}
	t.Cleanup(func() {
		if t.Failed() {
			w.explain(t)
		}
	})
	w.placeHosts(t)
	w.startServers(t)
	w.startProduct(t)
	w.awaitWorking(t)
	w.readMarks(t)
	return w
}

// placeHosts adds servers and clients to the site's.
func (w *world) placeHosts(t *testing.T) {
	t.Helper()
	for _, server := range w.Servers {
		w.hosts[server.Host.Name()] = server.Host.(*lab.Namespace)
	}
	for name, length := range map[string]int{"pacs-c": 24, "standby": 32, "bare": 24} {
		prefix := fmt.Sprintf("%s/%d", addresses[name], length)
		h, err := w.Lab.Namespace(name, lab.NIC{Network: w.LAN, Addresses: lab.Prefixes(prefix)})
		suite.Must(t, err)
		w.hosts[name] = h
	}
	w.on(t, "standby", "ip route add "+site.DirectorAddress+" dev eth0 && ip route add default via "+site.DirectorAddress)
	w.on(t, "bare", `cd /proc/sys/net/ipv4/conf && echo 1 | tee all/arp_ignore eth0/arp_ignore && echo 2 | tee all/arp_announce eth0/arp_announce`)
	w.on(t, "bare", "ip address add "+vip+"/32 dev lo")
	for n := range clients {
		_, err := w.MustRun(t.Context(), w.Viewer, "ip", "address", "add", clientAddress(n)+"/24", "dev", "eth0")
		suite.Must(t, err)
	}
}

// on runs a command on a server.
func (w *world) on(t *testing.T, server, command string) {
	t.Helper()
	_, err := w.MustRun(t.Context(), w.hosts[server], "sh", "-c", command)
	suite.Must(t, err)
}

// firewall is one of the site's own that tracks connections, as many hosts have: without any rule that
// asks for it, the kernel tracks none, and conntrack would show none of anything.
const firewall = `table inet site {
  chain input { type filter hook input priority 10; ct state established,related counter; }
  chain output { type filter hook output priority 10; ct state established,related counter; }
}`

// startProduct starts the product on the director and on the servers that are its hosts.
func (w *world) startProduct(t *testing.T) {
	t.Helper()
	suite.Must(t, w.Director.Put(t.Context(), checksDir+"/archive.sh", strings.NewReader(program), 0o755))
	suite.Must(t, w.Director.Put(t.Context(), "/etc/site.nft", strings.NewReader(firewall), 0o644))
	_, err := w.MustRun(t.Context(), w.Director, "nft", "-f", "/etc/site.nft")
	suite.Must(t, err)
	suite.Must(t, w.PutManifest(t.Context(), "cardiology.yaml", otherManifest()))
	w.edit(t, v1alpha1.StateActive)
	suite.Must(t, w.StartAgents(t.Context()))
	suite.Must(t, w.StartAgent(t.Context(), w.hosts["pacs-c"]))
}

// edit writes the manifest as an administrator does.
func (w *world) edit(t *testing.T, state v1alpha1.AdminState) {
	t.Helper()
	w.edits.Lock()
	defer w.edits.Unlock()
	suite.Must(t, w.PutManifest(t.Context(), "radiology.yaml", manifest(state)))
	suite.Must(t, w.hosts["pacs-c"].Put(t.Context(), site.ManifestDir+"/radiology.yaml", strings.NewReader(manifest(state)), 0o600))
}

// status is a balancer as `truepacs status` shows it.
func (w *world) status(ctx context.Context, name string) (*v1alpha1.TruePACSBalancer, error) {
	all, err := w.states.get(func() ([]v1alpha1.TruePACSBalancer, error) { return w.Statuses(ctx) })
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].Name == name {
			return &all[i], nil
		}
	}
	return nil, fmt.Errorf("status has no balancer %s among %d", name, len(all))
}

func (w *world) awaitWorking(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, "both balancers work", func() error {
		for _, name := range []string{"radiology", "cardiology"} {
			b, err := w.status(ctx, name)
			if err != nil {
				return err
			}
			for _, kind := range []string{v1alpha1.ConditionReady, v1alpha1.ConditionServersHealthy} {
				if c := meta.FindStatusCondition(b.Status.Conditions, kind); c == nil || c.Status != metav1.ConditionTrue {
					return fmt.Errorf("%s: %s: %+v", name, kind, c)
				}
			}
		}
		return w.accepting(ctx)
	}))
}

// accepting tells whether the servers have the virtual IP.
func (w *world) accepting(ctx context.Context) error {
	for _, name := range []string{"pacs-a", "pacs-b", "pacs-c", "bare"} {
		out, err := w.MustRun(ctx, w.hosts[name], "ip", "address", "show", "dev", "lo")
		if err != nil {
			return err
		}
		if !strings.Contains(out, vip+"/") {
			return errors.New(name + " lacks the virtual IP:\n" + out)
		}
	}
	return nil
}

// explain prints what helps to understand a failure.
func (w *world) explain(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(w.ctx), time.Minute)
	defer cancel()
	text := w.Output(w.Director)
	t.Logf("director printed:\n%s", text[max(0, len(text)-8000):])
	for _, command := range []string{
		"truepacs status", "ipvsadm -Ln", "ipvsadm -Ln --thresholds", "ipvsadm -Lnc | head -n 60", "nft list table inet truepacs", "ip address",
	} {
		out, err := w.Director.Run(ctx, "sh", "-c", command)
		t.Logf("director: %s: %v\n%s%s", command, err, out.Stdout, out.Stderr)
	}
}
