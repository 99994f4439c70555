package certificates

import (
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/testutil/pki"
	"github.com/truepacs/balancer/e2e/suite"
)

const day = 24 * time.Hour

// TestCertificatesAreReplaced under a connection that is used all the time.
func TestCertificatesAreReplaced(t *testing.T) {
	w := newWorld(t)
	names, until := []string{"pacs.example.org"}, time.Now().Add(365*day)
	issue := func(s pki.Spec) pki.Issued { return w.root.Issue(t, s) }
	first := issue(pki.Spec{Names: names, Until: until})
	w.serve(t, first)
	w.put(t, "")
	suite.Must(t, w.StartAgents(t.Context()))
	w.awaitShown(t, first)
	open := w.hold(t)
	w.await(t, valid, v1alpha1.ReasonValid, "pacs.example.org in Secret default/viewer-tls")
	second := issue(pki.Spec{Names: names, Until: until})
	w.serve(t, second)
	w.awaitShown(t, second)

	other := issue(pki.Spec{Names: []string{"ris.example.org"}, Until: until})
	later := issue(pki.Spec{Names: names, From: time.Now().Add(day), Until: until})
	mixed := func() {
		w.secret(t, "viewer-tls", "kubernetes.io/tls", "tls.crt", second.Chain, "tls.key", first.KeyPEM(t))
	}
	for _, bad := range []struct {
		put  func()
		says string
	}{
		{mixed, "cannot be used together"},
		{func() { w.serve(t, other) }, "seems to be another host's"},
		{func() { w.serve(t, later) }, "is not valid before"},
	} {
		bad.put()
		w.await(t, resolved, v1alpha1.ReasonSecretInvalid, bad.says)
		w.await(t, valid, v1alpha1.ReasonCertificateRefused, "default/viewer-tls")
		w.awaitShown(t, second)
	}
	w.tells(t, `truepacs_certificate_refused{balancer="default/radiology",secret="viewer-tls",service="viewer"} 1`)

	short := issue(pki.Spec{Names: names, From: time.Now().Add(-80 * day), Until: time.Now().Add(5 * day)})
	w.serve(t, short)
	w.awaitShown(t, short)
	w.await(t, valid, v1alpha1.ReasonExpiresWithin7Days, "expires on")
	text, err := w.Truepacs(t.Context(), w.Director, "status")
	suite.Must(t, err)
	for _, line := range []string{"radiology  Ready\n  ! ExpiresWithin7Days: ", "viewer-tls  Certificate  pacs.example.org  " + short.Cert.NotAfter.UTC().Format(time.RFC3339)} {
		if !strings.Contains(text, line) {
			t.Errorf("status does not say %q:\n%s", line, text)
		}
	}
	w.tells(t, `truepacs_certificate_expiry_timestamp_seconds{balancer="default/radiology",kind="Certificate",position="0",secret="viewer-tls",service="viewer"} `)

	w.clients(t)
	open.whole(t)
}

// tells looks for a line of metrics.
func (w *world) tells(t *testing.T, line string) {
	t.Helper()
	out, err := w.MustRun(t.Context(), w.Director, "curl", "-s", "http://127.0.0.1:9469/metrics")
	suite.Must(t, err)
	if !strings.Contains(out, "\n"+line) {
		t.Errorf("metrics lack %s", line)
	}
}

// clients asks for client certificates from now on.
func (w *world) clients(t *testing.T) {
	t.Helper()
	ca := pki.NewAuthority(t, "Modalities")
	good, stolen := ca.Issue(t, pki.Spec{CommonName: "ct-1"}), ca.Issue(t, pki.Spec{CommonName: "ct-2"})
	show := func(name string, i pki.Issued) []string {
		return []string{"-cert", w.file(t, name+".crt", i.PEM()), "-key", w.file(t, name+".key", i.KeyPEM(t))}
	}
	asGood, asStolen := show("good", good), show("stolen", stolen)
	w.secret(t, "clients", "Opaque", "ca.crt", ca.PEM(), "ca.crl", ca.CRL(t, time.Now().Add(200*day)))
	w.put(t, clients)
	served := func(out string) bool { return strings.Contains(out, "HTTP/1.1 200 OK") }
	w.until(t, "a client without a certificate is refused", func() bool { return !served(w.shown(t)) })
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		for name, args := range map[string][]string{"good": asGood, "stolen": asStolen} {
			if out := w.shown(t, append(args, version)...); !served(out) {
				t.Errorf("%s %s is refused:\n%s", name, version, out)
			}
		}
	}
	w.secret(t, "clients", "Opaque", "ca.crt", ca.PEM(), "ca.crl", ca.CRL(t, time.Now().Add(201*day), stolen.Cert))
	w.until(t, "a revoked client is refused", func() bool { return !served(w.shown(t, asStolen...)) })
	if out := w.shown(t, asGood...); !served(out) {
		t.Errorf("beside a revoked one the good client is refused:\n%s", out)
	}
	w.secret(t, "clients", "Opaque", "ca.crt", ca.PEM(), "ca.crl", ca.CRL(t, time.Now().Add(100*day)))
	w.await(t, resolved, v1alpha1.ReasonSecretInvalid, "the one in use is from")
	if served(w.shown(t, asStolen...)) {
		t.Error("an older list lets a revoked client in again")
	}
}
