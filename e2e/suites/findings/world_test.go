package findings

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/paths"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// Addresses beside the site's: that of the layer 7 service, of the router, and of clients behind it.
const (
	webVIP     = "192.0.2.101"
	moreVIP    = "192.0.2.102"
	routerNear = "192.0.2.254"
	routerFar  = "198.51.100.1"
	farClient  = "198.51.100.7"
	farNet     = "198.51.100.0/24"
)

// world is a site on which all is well: the servers are prepared as by hand, so that nobody puts
// right what a test spoils, and have a router as their gateway.
type world struct {
	*paths.World
	far *lab.Namespace // a client behind the router
	// clock is when something was provoked or put right; tooLate is when waiting for the product
	// to notice ends.
	clock   time.Time
	tooLate time.Duration
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{World: paths.NewWorld(t, "ipvsadm", "nft"), tooLate: limit}
	t.Cleanup(func() {
		if t.Failed() {
			w.explain(t)
		}
	})
	w.addRouter(t)
	for i := range w.Site.Servers {
		w.prepareServer(t, i)
	}
	w.onDirector(t, "ip route add default via "+routerNear)
	w.manifest(t, spec{})
	suite.Must(t, w.StartAgent(t.Context(), w.Director))
	w.startClock()
	took := w.await(t, "all is well", func(o overview) error { return o.sound() })
	suite.Must(t, site.Until(limited(t), "the service", func() error { return w.ping(t.Context(), w.near(), site.VIP, 7007) }))
	t.Logf("all is well after %s", took.Round(time.Second))
	return w
}

func limited(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	t.Cleanup(cancel)
	return ctx
}

// addRouter makes a router with two networks on the LAN, and a client on the second.
func (w *world) addRouter(t *testing.T) {
	t.Helper()
	router, err := w.Lab.Router("router", lab.NIC{Network: w.LAN, Addresses: lab.Prefixes(routerNear+"/24", routerFar+"/24")})
	suite.Must(t, err)
	w.on(t, router, "for f in all default eth0; do echo 0 > /proc/sys/net/ipv4/conf/$f/send_redirects; done")
	w.far, err = w.Lab.Namespace("far", lab.NIC{Network: w.LAN, Addresses: lab.Prefixes(farClient + "/24")})
	suite.Must(t, err)
	w.on(t, w.far, "ip route add default via "+routerFar)
}

// prepareServer does by hand what direct routing needs on a server.
func (w *world) prepareServer(t *testing.T, i int) {
	t.Helper()
	w.onServer(t, i, "sysctl=/proc/sys/net/ipv4/conf/all; echo 1 > $sysctl/arp_ignore; echo 2 > $sysctl/arp_announce; echo 0 > $sysctl/accept_redirects; "+
		"ip address add "+site.VIP+"/32 dev lo; ip route add default via "+routerNear)
}

func (w *world) near() *lab.Namespace { return w.Modalities[0].Host.(*lab.Namespace) }

func (w *world) onDirector(t *testing.T, command string) string {
	t.Helper()
	return w.on(t, w.Director, command)
}

func (w *world) onServer(t *testing.T, i int, command string) {
	t.Helper()
	w.on(t, w.Site.Servers[i].Host, command)
}

func (w *world) on(t *testing.T, host lab.Host, command string) string {
	t.Helper()
	out, err := w.MustRun(limited(t), host, "sh", "-c", command)
	suite.Must(t, err)
	return strings.TrimSpace(out)
}

// serverMAC is the hardware address of a server.
func (w *world) serverMAC(i int) string { return w.Site.Servers[i].Host.(*lab.Namespace).MAC("eth0") }

// spec is what items change in the manifest.
type spec struct {
	serverB   string // address of pacs-b
	port      int    // of the direct servers
	scheduler string
	service   string // one more
	virtualIP string // an address more
}

// manifest writes the manifest of a direct-routing service and a layer 7 service, each with an
// address of its own.
func (w *world) manifest(t *testing.T, s spec) {
	t.Helper()
	if s.serverB == "" {
		s.serverB = "192.0.2.12"
	}
	if s.scheduler == "" {
		s.scheduler = "RoundRobin"
	}
	port := ""
	if s.port > 0 {
		port = fmt.Sprintf("\n    port: %d", s.port)
	}
	more := ""
	if s.virtualIP != "" {
		more = ", {name: more, address: " + s.virtualIP + "}"
	}
	text := fmt.Sprintf(`apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: flows}
spec:
  directors: {peers: [{name: lb1}]}
  virtualIPs: [{name: main, address: %s}, {name: web, address: %s}%s]
  serverPools:
  - name: direct%s
    servers: [{name: pacs-a, address: 192.0.2.11}, {name: pacs-b, address: %s}]
  - name: proxied
    port: 7007
    servers: [{name: pacs-a, address: 192.0.2.11}, {name: pacs-b, address: 192.0.2.12}]
  virtualServices:
  - {name: direct, virtualIPs: [main], mode: L4DR, ports: [7007], serverPool: direct, layer4: {scheduler: %s}}
  - {name: proxied, virtualIPs: [web], mode: L7SNAT, ports: [7107], serverPool: proxied, layer7: {application: TCP, algorithm: RoundRobin}}
%s`, site.VIP, webVIP, more, port, s.serverB, s.scheduler, s.service)
	suite.Must(t, w.Director.Put(limited(t), site.ManifestDir+"/flows.yaml", strings.NewReader(text), 0o600))
}

// ping opens a connection and exchanges a few bytes.
func (w *world) ping(ctx context.Context, from paths.Client, address string, port int) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	c, err := from.Dial(ctx, "tcp", net.JoinHostPort(address, fmt.Sprint(port)))
	if err != nil {
		return err
	}
	defer c.Close()
	return paths.Ping(c)
}

// traffic has a client try the direct service again and again until the test, or stop, ends.
func (w *world) traffic(t *testing.T, from paths.Client) (stop func()) {
	return w.trafficTo(t, from, site.VIP, 7007)
}

func (w *world) trafficTo(t *testing.T, from paths.Client, address string, port int) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ctx.Err() == nil {
			_ = w.ping(ctx, from, address, port)
			select {
			case <-ctx.Done():
			case <-time.After(300 * time.Millisecond):
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// overview is what `truepacs status -o json` prints.
type overview struct {
	Items    []v1alpha1.TruePACSBalancer `json:"items"`
	Problems []string                    `json:"problems"`
}

func (w *world) overview(t *testing.T) (overview, error) {
	var o overview
	text, err := w.Truepacs(limited(t), w.Director, "status", "-o", "json")
	if err == nil {
		err = json.Unmarshal([]byte(text), &o)
	}
	return o, err
}

func (o overview) condition(kind string) (metav1.Condition, error) {
	if len(o.Items) != 1 {
		return metav1.Condition{}, fmt.Errorf("%d balancers are shown: %q", len(o.Items), o.Problems)
	}
	c := meta.FindStatusCondition(o.Items[0].Status.Conditions, kind)
	if c == nil {
		return metav1.Condition{}, fmt.Errorf("there is no %s", kind)
	}
	return *c, nil
}

// sound returns nil if nothing at all is found.
func (o overview) sound() error {
	var errs []error
	for _, kind := range []string{v1alpha1.ConditionAccepted, v1alpha1.ConditionProgrammed, v1alpha1.ConditionNetworkSound} {
		c, err := o.condition(kind)
		if err == nil && (c.Status != metav1.ConditionTrue || kind == v1alpha1.ConditionNetworkSound && !strings.Contains(c.Message, "Nothing on this host")) {
			err = fmt.Errorf("%s is %s: %s: %s", kind, c.Status, c.Reason, c.Message)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// explain prints what helps to understand a failure.
func (w *world) explain(t *testing.T) {
	text := w.Output(w.Director)
	t.Logf("director printed:\n%s", text[max(0, len(text)-6000):])
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	for _, command := range []string{"ipvsadm -Ln", "nft list ruleset", "ip address", "ip route", "cat /proc/modules | grep ip_vs", "dmesg | tail -20"} {
		out, err := w.Director.Run(ctx, "sh", "-c", command)
		t.Logf("%s: %v\n%s%s", command, err, out.Stdout, out.Stderr)
	}
}
