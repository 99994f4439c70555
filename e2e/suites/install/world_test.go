package install

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/truepacs/balancer/e2e/installed"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/pacs"
	"github.com/truepacs/balancer/e2e/suite"
)

const caFile = "/etc/pacs-ca.pem"

// world is an installed cluster, and outside of it two PACS servers and a client.
type world struct {
	*installed.World
	servers []*pacs.Orthanc
	client  *lab.Namespace
}

func newWorld(t *testing.T, ctx context.Context) *world {
	t.Helper()
	w := &world{World: installed.New(ctx, t)}
	for i, name := range []string{"pacs-a", "pacs-b"} {
		server, err := pacs.StartOrthanc(ctx, w.AddServerHost(ctx, t, name, fmt.Sprintf("192.0.2.%d/24", 11+i)))
		suite.Must(t, err)
		w.servers = append(w.servers, server)
	}
	w.client = w.AddHost(t, "ct-1", "192.0.2.51/24")
	return w
}

// checkSecurity holds the capabilities that the kernel shows of the processes, and the pods'
// security contexts, against what the documentation promises.
func (w *world) checkSecurity(t *testing.T, ctx context.Context) {
	t.Helper()
	// CapEff of linux/capability.h: NET_BIND_SERVICE 10, NET_ADMIN 12, NET_RAW 13.
	for role, want := range map[string]string{"agent": "0000000000003400", "proxy": "0000000000000000"} {
		out, err := w.Worker().Output(ctx, "for p in $(pgrep -f '^/truepacs "+role+"'); do grep -H -E 'CapEff|NoNewPrivs|Seccomp:|^Uid' /proc/$p/status; done")
		suite.Must(t, err)
		for _, part := range []string{"CapEff:\t" + want, "NoNewPrivs:\t1", "Seccomp:\t2"} {
			if !strings.Contains(out, part) {
				t.Errorf("process of %s lacks %q:\n%s", role, part, out)
			}
		}
	}
	var pods corev1.PodList
	suite.Must(t, json.Unmarshal([]byte(w.Kubectl(ctx, t, "get", "pods", "--namespace", installed.Namespace, "-o", "json")), &pods))
	for i := range pods.Items {
		pod := &pods.Items[i]
		for _, c := range pod.Spec.Containers {
			s := c.SecurityContext
			if s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem || s.Privileged != nil && *s.Privileged {
				t.Errorf("pod %s: its root file system is writable or it is privileged", pod.Name)
			}
			if len(c.Ports) > 0 && pod.Spec.HostNetwork {
				t.Errorf("pod %s on the host's network declares ports: a surge could never be scheduled", pod.Name)
			}
		}
	}
	if len(pods.Items) < 3 {
		t.Errorf("%d pods only", len(pods.Items))
	}
}
