package site

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"
)

// Balancer is the TruePACSBalancer of the site: DICOM by direct routing, the web by the proxy.
const Balancer = `apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata:
  name: radiology
spec:
  directors:
    peers:
    - name: lb1
  virtualIPs:
  - name: main
    address: 192.0.2.100
  serverPools:
  - name: archive
    servers:
    - {name: pacs-a, address: 192.0.2.11}
    - {name: pacs-b, address: 192.0.2.12}
    healthChecks:
    - type: DICOMEcho
      dicomEcho: {calledAETitle: TRUEPACS}
  - name: archive-web
    port: 8042
    servers:
    - {name: pacs-a, address: 192.0.2.11}
    - {name: pacs-b, address: 192.0.2.12}
    healthChecks:
    - type: HTTP
      http: {path: /system, expectedStatuses: [200], expectedBody: ApiVersion}
  virtualServices:
  - name: dicom
    virtualIPs: [main]
    mode: L4DR
    ports: [11112]
    serverPool: archive
    layer4: {scheduler: RoundRobin}
  - name: viewer
    virtualIPs: [main]
    mode: L7SNAT
    ports: [443]
    serverPool: archive-web
    layer7:
      application: HTTP
      tls: {certificateRefs: [{name: viewer-tls}]}
      persistence: {type: Cookie}
      http:
        routes:
        - name: dicomweb
          matches: [{pathPrefix: /pacs/dicomweb}]
          serverPool: archive-web
          rewrite: {pathPrefix: /dicom-web}
          requestHeaders: {set: [{name: X-Site, value: main}]}
`

// Secret makes a certificate for the VIP and returns it as a Secret manifest, and the PEM of
// the certificate for clients to trust.
func Secret() (manifest, certificate string, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", "", err
	}
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(1),
		Subject:               pkix.Name{CommonName: "pacs.example.org"},
		DNSNames:              []string{"pacs.example.org"},
		NotBefore:             time.Now().Add(-time.Hour),
		NotAfter:              time.Now().Add(365 * 24 * time.Hour),
		IsCA:                  true,
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", "", err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", "", err
	}
	certificate = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	return fmt.Sprintf(`apiVersion: v1
kind: Secret
metadata:
  name: viewer-tls
type: kubernetes.io/tls
stringData:
  tls.crt: |
%s
  tls.key: |
%s
`, indent(certificate), indent(private)), certificate, nil
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n    ")
}
