package certificates

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/testutil/pki"
	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/lab"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// balancer has one HTTPS service; TLS stands for its certificates.
const balancer = `apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: radiology}
spec:
  directors: {peers: [{name: lb1}]}
  virtualIPs: [{name: main, address: ` + site.VIP + `}]
  serverPools:
  - name: web
    port: 8042
    servers: [{name: pacs-a, address: 192.0.2.11}, {name: pacs-b, address: 192.0.2.12}]
    healthChecks: [{type: HTTP, http: {path: /system, expectedStatuses: [200]}}]
  virtualServices:
  - name: viewer
    virtualIPs: [main]
    mode: L7SNAT
    ports: [443]
    serverPool: web
    layer7: {application: HTTP, tls: {certificateRefs: [{name: viewer-tls}]TLS}}
`

const clients = ", clientCertificates: {mode: Required, caRef: {name: clients}, crlRef: {name: clients}}"

// soon bounds what has to happen, with a machine that is emulated.
const soon = time.Minute

type world struct {
	*site.Site
	folder string
	root   *pki.Authority
}

func newWorld(t *testing.T) *world {
	t.Helper()
	program, err := site.Program()
	suite.Must(t, err)
	s, err := site.New(t.Context(), site.Options{Binary: program, Log: t.Logf})
	suite.Must(t, err)
	t.Cleanup(func() { suite.Must(t, s.Close()) })
	w := &world{Site: s, folder: t.TempDir(), root: pki.NewAuthority(t, "Hospital Root")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("director printed:\n%s", w.Output(w.Director))
		}
	})
	return w
}

// put writes the balancer with more settings of TLS.
func (w *world) put(t *testing.T, more string) {
	t.Helper()
	suite.Must(t, w.PutManifest(t.Context(), "radiology.yaml", strings.Replace(balancer, "TLS}}", more+"}}", 1)))
}

// secret writes a Secret; data are keys and PEM texts in turn.
func (w *world) secret(t *testing.T, name, kind string, data ...any) {
	t.Helper()
	text := "apiVersion: v1\nkind: Secret\nmetadata: {name: " + name + "}\ntype: " + kind + "\nstringData:\n"
	for i := 0; i < len(data); i += 2 {
		pem := strings.TrimSpace(string(data[i+1].([]byte)))
		text += fmt.Sprintf("  %s: |\n    %s\n", data[i], strings.ReplaceAll(pem, "\n", "\n    "))
	}
	suite.Must(t, w.PutManifest(t.Context(), name+".yaml", text))
}

func (w *world) serve(t *testing.T, i pki.Issued) {
	t.Helper()
	w.secret(t, "viewer-tls", "kubernetes.io/tls", "tls.crt", i.Chain, "tls.key", i.KeyPEM(t))
}

// file keeps something for openssl.
func (w *world) file(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(w.folder, name)
	suite.Must(t, os.WriteFile(path, data, 0o600))
	return path
}

// shown is what openssl says of a handshake and a request.
func (w *world) shown(t *testing.T, args ...string) string {
	t.Helper()
	command := "printf 'GET /system HTTP/1.1\\r\\nHost: pacs.example.org\\r\\nConnection: close\\r\\n\\r\\n' | " +
		"timeout 20 openssl s_client -connect " + site.VIP + ":443 -servername pacs.example.org -ign_eof " + strings.Join(args, " ") + " 2>&1; true"
	out, err := w.MustRun(t.Context(), w.Viewer, "sh", "-c", command)
	suite.Must(t, err)
	return out
}

// serial is the serial number of the certificate that a viewer is shown.
func (w *world) serial(t *testing.T) string {
	t.Helper()
	out, err := w.MustRun(t.Context(), w.Viewer, "sh", "-c",
		"timeout 20 openssl s_client -connect "+site.VIP+":443 -servername pacs.example.org </dev/null 2>/dev/null | openssl x509 -noout -serial 2>&1; true")
	suite.Must(t, err)
	return strings.TrimPrefix(strings.TrimSpace(out), "serial=")
}

func (w *world) awaitShown(t *testing.T, i pki.Issued) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	want := fmt.Sprintf("%02X", i.Cert.SerialNumber.Int64())
	suite.Must(t, site.Until(ctx, "certificate "+want, func() error {
		if got := w.serial(t); got != want {
			return fmt.Errorf("shown is %q", got)
		}
		return nil
	}))
}

// await waits until a condition has a reason and the words.
func (w *world) await(t *testing.T, kind, reason, says string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	suite.Must(t, site.Until(ctx, kind+" "+reason, func() error {
		b, err := w.Status(ctx)
		if err != nil {
			return err
		}
		c := meta.FindStatusCondition(b.Status.Conditions, kind)
		if c == nil || c.Reason != reason || !strings.Contains(c.Message, says) {
			return fmt.Errorf("%+v", c)
		}
		return nil
	}))
}

// until waits for something that has no error of its own.
func (w *world) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	suite.Must(t, site.Until(ctx, what, func() error {
		if !ok() {
			return errors.New("not yet")
		}
		return nil
	}))
}

const valid, resolved = v1alpha1.ConditionCertificatesValid, v1alpha1.ConditionResolvedRefs

// held is a connection that asks every second until it is told to stop.
type held struct {
	process *lab.Process
	out     printed.Text
	stop    string
}

func (w *world) hold(t *testing.T) *held {
	t.Helper()
	h := &held{stop: filepath.Join(w.folder, "stop")}
	request := "printf 'GET /system HTTP/1.1\\r\\nHost: pacs.example.org\\r\\n\\r\\n'; echo asked >&2; sleep 1"
	var err error
	h.process, err = w.Viewer.Start(context.WithoutCancel(t.Context()), lab.ProcessSpec{
		Argv: []string{"sh", "-c", "(while [ ! -e " + h.stop + " ]; do " + request + "; done; sleep 20) | " +
			"openssl s_client -quiet -connect " + site.VIP + ":443 -servername pacs.example.org"},
		Stdout: &h.out, Stderr: &h.out,
	})
	suite.Must(t, err)
	return h
}

// whole ends it and says whether every request was answered.
func (h *held) whole(t *testing.T) {
	t.Helper()
	suite.Must(t, os.WriteFile(h.stop, nil, 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	suite.Must(t, site.Until(ctx, "an answer to each request", func() error {
		text := h.out.String()
		asked, answered := strings.Count(text, "asked\n"), strings.Count(text, "HTTP/1.1 200 OK")
		if asked != answered || asked == 0 {
			return fmt.Errorf("%d requests, %d answers:\n%s", asked, answered, text)
		}
		t.Logf("%d requests were answered on one connection", answered)
		return nil
	}))
}
