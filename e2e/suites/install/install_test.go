package install

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/pacs"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

const (
	stores   = 24
	requests = 20
)

// TestHelmInstallApplyUseDelete installs the charts, applies the balancer of the demonstration,
// sends images and requests from outside the cluster, and deletes the balancer.
func TestHelmInstallApplyUseDelete(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	w := newWorld(t, ctx)
	w.Install(ctx, t)
	w.checkSecurity(t, ctx)
	w.apply(t, ctx)
	w.checkColumns(t, ctx)
	w.checkImages(t, ctx)
	w.checkWeb(t, ctx)
	w.Kubectl(ctx, t, "delete", "tpb", "radiology", "--namespace", "imaging", "--timeout=60s")
	w.checkNothingLeft(t, ctx)
}

// apply applies the balancer and waits until it is Ready with all servers healthy.
func (w *world) apply(t *testing.T, ctx context.Context) {
	t.Helper()
	secret, certificate, err := site.Secret()
	suite.Must(t, err)
	suite.Must(t, w.client.Put(ctx, caFile, strings.NewReader(certificate), 0o644))
	w.Apply(ctx, t, "imaging", secret, site.Balancer)
	w.AwaitReady(ctx, t, "imaging", "radiology")
}

// checkColumns reads kubectl's columns as an administrator does.
func (w *world) checkColumns(t *testing.T, ctx context.Context) {
	t.Helper()
	out := w.Kubectl(ctx, t, "get", "tpb", "--namespace", "imaging")
	t.Logf("kubectl get tpb:\n%s", out)
	for _, want := range []string{site.VIP, "2/2", w.Worker().Name(), "True"} {
		if !strings.Contains(out, want) {
			t.Errorf("kubectl get tpb does not show %s", want)
		}
	}
	kernel, err := w.Worker().Output(ctx, "ipvsadm -Ln")
	suite.Must(t, err)
	if strings.Count(kernel, " Route ") != len(w.servers) {
		t.Errorf("the director's kernel has other servers:\n%s", kernel)
	}
}

// checkImages stores images through the virtual IP address and looks for them in the servers'
// own databases.
func (w *world) checkImages(t *testing.T, ctx context.Context) {
	t.Helper()
	corpus, err := pacs.Corpus(ctx)
	suite.Must(t, err)
	missing := map[string]string{}
	modality := pacs.Modality{Host: w.client, AETitle: "CT1", Server: site.VIP, Port: site.DICOMPort}
	for _, instance := range corpus[:stores] {
		code, output, err := modality.Store(ctx, instance)
		suite.Must(t, err)
		if code != 0 {
			t.Fatalf("storescu ended with exit status %d:\n%s", code, output)
		}
		missing[instance.SOP] = instance.Hash
	}
	for _, server := range w.servers {
		stored, err := server.Stored(ctx)
		suite.Must(t, err)
		for _, instance := range stored {
			if missing[instance.SOP] != instance.Hash {
				t.Errorf("%s has %s with another content", server.Host.Name(), instance.SOP)
			}
			delete(missing, instance.SOP)
		}
		if 4*len(stored) < stores {
			t.Errorf("%s got %d of %d images, less than a quarter", server.Host.Name(), len(stored), stores)
		}
	}
	if len(missing) > 0 {
		t.Errorf("%d acknowledged images are on no server", len(missing))
	}
	suite.Verdict(t, "%d images stored from outside the cluster", stores)
}

// checkWeb sends requests over HTTPS; without cookie both servers must answer.
func (w *world) checkWeb(t *testing.T, ctx context.Context) {
	t.Helper()
	seen := map[string]int{}
	for range requests {
		result, err := w.client.Run(ctx, "curl", "-sS", "--fail", "--max-time", "20", "--cacert", caFile,
			"--resolve", fmt.Sprintf("pacs.example.org:%d:%s", site.HTTPSPort, site.VIP), "https://pacs.example.org/system")
		suite.Must(t, err)
		if result.ExitCode != 0 {
			t.Fatalf("curl: %s", result.Stderr)
		}
		for _, server := range w.servers {
			if strings.Contains(result.Stdout, `"`+server.Host.Name()+`"`) {
				seen[server.Host.Name()]++
			}
		}
	}
	if len(seen) != len(w.servers) {
		t.Errorf("requests reached %v", seen)
	}
	suite.Verdict(t, "%d requests over HTTPS: %v", requests, seen)
}

// checkNothingLeft waits until the node has none of the balancer's state.
func (w *world) checkNothingLeft(t *testing.T, ctx context.Context) {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err := site.Until(ctx, "the node is clean", func() error {
		for command, unwanted := range map[string]string{
			"ipvsadm -Ln": "FWM", "nft list tables": "truepacs", "ip -4 address": site.VIP, "ss -ltn": ":443 ",
		} {
			out, err := w.Worker().Output(ctx, command)
			if err != nil {
				return err
			}
			if strings.Contains(out, unwanted) {
				return fmt.Errorf("%s still shows %q:\n%s", command, unwanted, out)
			}
		}
		return nil
	})
	suite.Must(t, err)
}
