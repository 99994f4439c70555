package explain

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// rivals are a service in each of two modes that come to one port of one server.
func rivals() map[string]string {
	one := func(name, vip, mode, more string) string {
		return fmt.Sprintf(`apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: %[1]s}
spec:
  directors: {peers: [{name: lb1}]}
  virtualIPs: [{name: main, address: %[2]s}]
  serverPools: [{name: archive, port: 7000, servers: [{name: pacs-a, address: 192.0.2.11}]}]
  virtualServices: [{name: dicom, virtualIPs: [main], mode: %[3]s, ports: [104], serverPool: archive, %[4]s}]
`, name, vip, mode, more)
	}
	return map[string]string{
		"l4": one("l4", "192.0.2.111", "L4SNAT", "layer4: {scheduler: RoundRobin}"),
		"l7": one("l7", "192.0.2.112", "L7SNAT", "layer7: {application: TCP}"),
	}
}

// conflict: the second of two services in modes L4SNAT and L7SNAT at one port of a server is refused
// with the reason whichever it is, the first goes on, and another port of the server mends it.
func (w *world) conflict(t *testing.T) {
	w.shell(t, w.director, "echo 1 > /proc/sys/net/ipv4/ip_forward")
	for _, order := range [][2]string{{"l4", "l7"}, {"l7", "l4"}} {
		t.Run(order[0]+" first", func(t *testing.T) {
			first, second := order[0], order[1]
			w.put(t, first+".yaml", rivals()[first])
			w.awaitAccepted(t, first, "True", "")
			w.reach(t, first)
			w.put(t, second+".yaml", rivals()[second])
			message := w.awaitAccepted(t, second, "False", v1alpha1.ReasonServerConflict)
			for _, says := range []string{"192.0.2.11 port 7000", "default/" + first + "/dicom", "L4SNAT and L7SNAT cannot share a port of a server", "write the same mode for both, or another port of the server"} {
				if !strings.Contains(message, says) {
					t.Errorf("the message lacks %q: %s", says, message)
				}
			}
			w.awaitAccepted(t, first, "True", "")
			w.reach(t, first)
			w.put(t, second+".yaml", strings.Replace(rivals()[second], "port: 7000", "port: 7001", 1))
			w.awaitAccepted(t, second, "True", "")
			w.reach(t, second)
			t.Logf("%s first: %s", first, message)
			for _, host := range w.hosts() {
				w.shell(t, host, "rm "+site.ManifestDir+"/l4.yaml "+site.ManifestDir+"/l7.yaml")
			}
			w.awaitGone(t)
		})
	}
}

func (w *world) balancers(ctx context.Context) (map[string]v1alpha1.TruePACSBalancer, error) {
	text, err := w.truepacs(ctx, "status", "-o", "json")
	if err != nil {
		return nil, err
	}
	var list v1alpha1.TruePACSBalancerList
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		return nil, err
	}
	out := map[string]v1alpha1.TruePACSBalancer{}
	for _, b := range list.Items {
		out[b.Name] = b
	}
	return out, nil
}

// awaitAccepted waits until Accepted has a status and, if one is named, a reason; True only with
// Programmed. It returns the message.
func (w *world) awaitAccepted(t *testing.T, name, status, reason string) (message string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, name+" Accepted="+status, func() error {
		all, err := w.balancers(ctx)
		if err != nil {
			return err
		}
		b := all[name]
		c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionAccepted)
		p := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionProgrammed)
		if c == nil || string(c.Status) != status || reason != "" && c.Reason != reason || status == "True" && (p == nil || p.Status != "True") {
			return fmt.Errorf("%+v, %+v", c, p)
		}
		message = c.Message
		return nil
	}))
	return message
}

func (w *world) awaitGone(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, "both gone", func() error {
		all, err := w.balancers(ctx)
		if _, l4 := all["l4"]; l4 {
			return fmt.Errorf("l4 is there: %w", err)
		}
		if _, l7 := all["l7"]; l7 {
			return fmt.Errorf("l7 is there: %w", err)
		}
		return err
	}))
}

// reach connects through a rival's service.
func (w *world) reach(t *testing.T, name string) {
	t.Helper()
	vip := map[string]string{"l4": "192.0.2.111:104", "l7": "192.0.2.112:104"}[name]
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, name+" works", func() error {
		ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
		defer cancel()
		c, err := w.clients.Dial(ctx, "tcp", vip)
		if err != nil {
			return err
		}
		defer c.Close()
		return echo(c)
	}))
}
