package changes

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"text/template"

	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// configuration is what changes of the front, and what clients see of it.
type configuration struct {
	// Mark is what a request header says to servers.
	Mark int
	// Route is the number of a route to a pool of its own; 0: there is none.
	Route int
	// Port is that of a service of its own; 0: there is none.
	Port uint16
	// Heavy gives server b of pool weighted nearly all, else nearly nothing.
	Heavy bool
	// Third and Draining are about pool members: whether c belongs to it, and whether b takes no more.
	Third, Draining bool
	// SecondStream tells whether b belongs to pool streams.
	SecondStream bool
}

// first has every server, so that connections that stay are on all of them.
func first() configuration { return configuration{Mark: 1, Third: true, SecondStream: true} }

var manifest = template.Must(template.New("").Parse(`apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: front}
spec:
  directors: {peers: [{name: lb1}]}
  virtualIPs:
  - {name: main, address: "` + vip + `", interfaces: [eth0]}
  serverPools:
  - name: plain
    servers: [{{.Server "a"}}]
    healthChecks: [{type: HTTP, http: {expectedStatuses: [200]}}]
  - name: routed
    servers: [{{.Server "b"}}]
    healthChecks: [{type: HTTP, http: {expectedStatuses: [200]}}]
  - name: weighted
    servers: [{{.Server "a" "weight: 100"}}, {{if .Heavy}}{{.Server "b" "weight: 10000"}}{{else}}{{.Server "b" "weight: 1"}}{{end}}]
    healthChecks: [{type: HTTP, http: {expectedStatuses: [200]}}]
  - name: members
    servers: [{{.Server "a"}}, {{if .Draining}}{{.Server "b" "state: Drain"}}{{else}}{{.Server "b"}}{{end}}{{if .Third}}, {{.Server "c"}}{{end}}]
    healthChecks: [{type: HTTP, http: {expectedStatuses: [200]}}]
  - name: streams
    servers: [{{.Stream "a"}}{{if .SecondStream}}, {{.Stream "b"}}{{end}}]
    healthChecks: [{type: TCP}]
  virtualServices:
  - name: streams
    virtualIPs: [main]
    mode: L7SNAT
    ports: [9000]
    serverPool: streams
    layer7: {application: TCP, algorithm: RoundRobin}
{{- range .Webs}}
  - name: {{.Name}}
    virtualIPs: [main]
    mode: L7SNAT
    ports: [{{.Port}}]
    serverPool: plain
    layer7:
      application: HTTP
      algorithm: RoundRobin
{{- if eq .Port 443}}
      tls: {certificateRefs: [{name: front}]}
{{- end}}
      http:
        routes:
{{- if $.Route}}
        - {name: route-{{$.Route}}, matches: [{pathPrefix: /route/{{$.Route}}}], serverPool: routed}
{{- end}}
        - {name: weighted, matches: [{pathPrefix: /weighted}], serverPool: weighted}
        - {name: members, matches: [{pathPrefix: /members}], serverPool: members}
        - name: marked
          matches: [{pathPrefix: /marked}]
          serverPool: plain
          requestHeaders: {set: [{name: X-Mark, value: "{{$.Mark}}"}]}
{{- end}}
`))

// webService is a service of HTTP.
type webService struct {
	Name string
	Port uint16
}

// rendering is a configuration with the ports of its servers.
type rendering struct {
	configuration
	servers *servers
}

// Webs are the services of HTTP.
func (r rendering) Webs() []webService {
	all := []webService{{"web", 80}, {"secure", 443}}
	if r.Port != 0 {
		all = append(all, webService{fmt.Sprint("web-", r.Port), r.Port})
	}
	return all
}

// Server is a server of HTTP with more fields.
func (r rendering) Server(name string, more ...string) string {
	return entry(name, r.servers.web[name], more)
}

// Stream is a server of pool streams.
func (r rendering) Stream(name string) string { return entry(name, r.servers.stream[name], nil) }

func entry(name string, port uint16, more []string) string {
	fields := append([]string{"name: " + name, `address: "` + server + `"`, fmt.Sprint("port: ", port)}, more...)
	return "{" + strings.Join(fields, ", ") + "}"
}

// configure edits the manifest.
func (w *world) configure(t *testing.T, c configuration) {
	t.Helper()
	var text bytes.Buffer
	suite.Must(t, manifest.Execute(&text, rendering{c, w.servers}))
	w.configuration = c
	w.replace(t, "front.yaml", text.String())
}

// certificate is one of the front's.
type certificate struct{ certPEM, keyPEM []byte }

// newCertificate makes the certificate of a number: ECDSA and RSA in turn.
func newCertificate(t *testing.T, n uint64) certificate {
	t.Helper()
	var key crypto.Signer
	var err error
	if n%2 == 0 {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	} else {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	}
	suite.Must(t, err)
	certFile, keyFile := peers.NewCertificate(t, key)
	var c certificate
	c.certPEM, err = os.ReadFile(certFile)
	suite.Must(t, err)
	c.keyPEM, err = os.ReadFile(keyFile)
	suite.Must(t, err)
	return c
}

// renew replaces the Secret.
func (w *world) renew(t *testing.T, c certificate) {
	t.Helper()
	block := func(text []byte) string {
		return "    " + strings.ReplaceAll(strings.TrimSpace(string(text)), "\n", "\n    ")
	}
	w.certificate = c
	w.replace(t, "secret.yaml", "apiVersion: v1\nkind: Secret\nmetadata: {name: front}\ntype: kubernetes.io/tls\nstringData:\n"+
		"  tls.crt: |\n"+block(c.certPEM)+"\n  tls.key: |\n"+block(c.keyPEM)+"\n")
}

// shows asks the front for its certificate.
func (w *world) shows(want certificate) error {
	c, err := w.dial(443)
	if err != nil {
		return err
	}
	defer c.Close()
	client := tls.Client(c, &tls.Config{ServerName: peers.ServerName, InsecureSkipVerify: true})
	if err := client.Handshake(); err != nil {
		return err
	}
	block, _ := pem.Decode(want.certPEM)
	if !bytes.Equal(client.ConnectionState().PeerCertificates[0].Raw, block.Bytes) {
		return errors.New("it shows another certificate")
	}
	return nil
}
