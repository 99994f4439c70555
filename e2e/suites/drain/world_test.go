package drain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/lab/pcap"
	"github.com/truepacs/balancer/e2e/paths"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// plan is one round unless the environment says otherwise.
func plan() suite.Plan { return suite.Plan{Name: "DRAIN", Unit: "ROUNDS", Seed: 5, Count: 1} }

func TestMain(m *testing.M) { plan().Run(m) }

// The servers, the one that leaves second.
const (
	stays  = 0
	leaves = 1
	leaver = "pacs-b"
)

// timeoutSeconds is the drain timeout of the service "held".
const timeoutSeconds = 45

// manifest is a balancer with two services by direct routing, whose second servers have a state each.
// The one of "dicom" gets four of five associations: those on it count.
// "held" keeps clients on their servers.
func manifest(dicom, held v1alpha1.AdminState) string {
	return fmt.Sprintf(`apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: radiology}
spec:
  directors: {peers: [{name: lb1}]}
  virtualIPs: [{name: main, address: %s}]
  serverPools:
  - name: archive
    servers: [{name: pacs-a, address: 192.0.2.11, weight: 25}, {name: pacs-b, address: 192.0.2.12, state: %s}]
    healthChecks: [{type: DICOMEcho, dicomEcho: {calledAETitle: TRUEPACS}}]
  - name: held
    servers: [{name: pacs-a, address: 192.0.2.11}, {name: pacs-b, address: 192.0.2.12, state: %s}]
  virtualServices:
  - {name: dicom, virtualIPs: [main], mode: L4DR, ports: [%d], serverPool: archive, layer4: {scheduler: WeightedRoundRobin}}
  - name: held
    virtualIPs: [main]
    mode: L4DR
    ports: [%d]
    serverPool: held
    layer4: {scheduler: RoundRobin, drainTimeoutSeconds: %d, persistence: {timeoutSeconds: 300}}
`, site.VIP, dicom, held, site.DICOMPort, paths.Direct, timeoutSeconds)
}

// world is a site on which the product works.
type world struct{ *paths.World }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{paths.NewWorld(t)}
	t.Cleanup(func() {
		if t.Failed() {
			w.explain(t)
		}
	})
	w.edit(t, v1alpha1.StateActive, v1alpha1.StateActive)
	suite.Must(t, w.StartAgents(t.Context()))
	w.awaitWorking(t)
	return w
}

// explain prints what helps to understand a failure.
func (w *world) explain(t *testing.T) {
	t.Logf("director printed:\n%s", w.Output(w.Director))
	for _, command := range []string{"truepacs status", "ipvsadm -Ln", "ipvsadm -Lnc | head -n 100", "nft list chain inet truepacs disconnect; nft list set inet truepacs resets4"} {
		out, err := w.Director.Run(context.WithoutCancel(t.Context()), "sh", "-c", command)
		t.Logf("%s: %v\n%s%s", command, err, out.Stdout, out.Stderr)
	}
}

// edit writes the manifest as an administrator does.
func (w *world) edit(t *testing.T, dicom, held v1alpha1.AdminState) {
	t.Helper()
	suite.Must(t, w.PutManifest(t.Context(), "radiology.yaml", manifest(dicom, held)))
}

func (w *world) awaitWorking(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	suite.Must(t, w.AwaitCondition(ctx, v1alpha1.ConditionReady, "True"))
	suite.Must(t, w.AwaitCondition(ctx, v1alpha1.ConditionServersHealthy, "True"))
}

// restartAgent kills the director's agent and starts it again.
func (w *world) restartAgent(t *testing.T) {
	t.Helper()
	agent := w.Agent(w.Director)
	suite.Must(t, agent.Kill())
	<-agent.Done()
	suite.Must(t, w.StartAgent(t.Context(), w.Director))
	w.awaitWorking(t)
}

// state is what `truepacs status` says of the server that leaves.
func (w *world) state(ctx context.Context, service string) (v1alpha1.ServerState, error) {
	balancer, err := w.Status(ctx)
	if err != nil {
		return v1alpha1.ServerState{}, err
	}
	for _, s := range balancer.Status.VirtualServices {
		for _, state := range s.ServerStates {
			if s.Name == service && state.Name == leaver {
				return state, nil
			}
		}
	}
	return v1alpha1.ServerState{}, errors.New("status does not name the server")
}

// awaitState waits until status says a state and its message holds a text.
func (w *world) awaitState(t *testing.T, service, state, text string) v1alpha1.ServerState {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var got v1alpha1.ServerState
	suite.Must(t, site.Until(ctx, service+" on "+leaver+" is "+state, func() (err error) {
		if got, err = w.state(ctx, service); err == nil && (got.State != state || !strings.Contains(got.Message, text)) {
			err = fmt.Errorf("it is %s: %s", got.State, got.Message)
		}
		return err
	}))
	return got
}

// peers are the clients of established connections, as ss on a server shows them.
func (w *world) peers(t *testing.T, server, port int) map[string]bool {
	t.Helper()
	found, err := w.Established(t.Context(), w.Site.Servers[server].Host, port)
	suite.Must(t, err)
	return found
}

// record captures at a host's interface.
func record(t *testing.T, host lab.Host, filter string) *lab.Capture {
	t.Helper()
	c, err := host.Capture(t.Context(), "eth0", filter)
	suite.Must(t, err)
	t.Cleanup(func() { _, _ = c.Stop() })
	return c
}

// attempts is a filter for the first packets of clients' connections to a port of the virtual IP. The
// director's own come from its survey, which asks servers for the virtual IP.
func attempts(port int) string {
	return fmt.Sprintf("dst host %s and not src host %s and tcp dst port %d and tcp[tcpflags] & (tcp-syn|tcp-ack) == tcp-syn",
		site.VIP, site.DirectorAddress, port)
}

// resets is a filter for resets of clients' connections to a port of the virtual IP.
func resets(port int) string {
	return fmt.Sprintf("host %s and not host %s and tcp port %d and tcp[tcpflags] & tcp-rst != 0", site.VIP, site.DirectorAddress, port)
}

func frames(t *testing.T, c *lab.Capture) []pcap.Frame {
	t.Helper()
	all, err := c.Frames()
	suite.Must(t, err)
	return all
}
