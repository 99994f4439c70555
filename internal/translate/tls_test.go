package translate_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/certs"
	"github.com/truepacs/balancer/dataplane/testutil/pki"
	"github.com/truepacs/balancer/internal/manifest"
	"github.com/truepacs/balancer/internal/testutil/badspecs"
	"github.com/truepacs/balancer/internal/translate"
)

// TestSampleOfClientCertificates: the sample is served as it stands, and its Secrets are those that are asked for.
func TestSampleOfClientCertificates(t *testing.T) {
	validator, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	set, problems := manifest.NewReader(validator).ReadPath("../../config/samples/client-certificates.yaml")
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	in := sampleInput(t, set.Balancers[0], nil)
	in.Now, in.Secrets = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC), map[types.NamespacedName]translate.Secret{}
	refs := translate.SecretRefs(set.Balancers[0])
	for _, name := range refs {
		s := set.Secrets[name]
		in.Secrets[name] = translate.Secret{Found: true, CertPEM: s.CertPEM, KeyPEM: s.KeyPEM, Data: s.Data}
	}
	if len(refs) != 2 || len(set.Secrets) != 2 {
		t.Errorf("asked for %v of %d Secrets", refs, len(set.Secrets))
	}
	result := translate.Translate(in)
	service := result.Balancers[types.NamespacedName{Namespace: "default", Name: "stow"}].Services[0]
	for _, c := range service.Conditions {
		if c.Status != "True" {
			t.Errorf("%+v", c)
		}
	}
	tls := result.Node.Proxy.Listeners[0].TLS
	if len(tls.Certificates) != 1 || len(tls.CipherSuites) != 2 || tls.Clients == nil || !tls.Clients.Required || tls.Clients.CRL == nil {
		t.Errorf("%+v", tls)
	}
	if _, err := certs.ParseAuthorities(tls.Clients.CA, tls.Clients.CRL); err != nil || len(service.Certificates) != 3 {
		t.Errorf("%v, %+v", err, service.Certificates)
	}
}

// TestTLSIsRefused: what the schema cannot see.
func TestTLSIsRefused(t *testing.T) {
	for name, tc := range map[string]struct {
		suites []string
		ports  int64
		says   string
	}{
		"good":            {[]string{"TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256"}, 1, ""},
		"insecure":        {[]string{"TLS_RSA_WITH_AES_128_CBC_SHA"}, 1, "layer7.tls.cipherSuites: TLS_RSA_WITH_AES_128_CBC_SHA is insecure"},
		"of TLS 1.3":      {[]string{"TLS_AES_128_GCM_SHA256"}, 1, "belongs to TLS 1.3"},
		"unknown":         {[]string{"TLS_FOO"}, 1, `"TLS_FOO" is not known: use TLS_ECDHE_`},
		"too much for it": {nil, 16, "at each of 80 addresses and ports are too much"},
	} {
		t.Run(name, func(t *testing.T) {
			tls := badspecs.Block{"certificateRefs": badspecs.List{badspecs.Block{"name": "viewer-tls"}}}
			if tc.suites != nil {
				list := badspecs.List{}
				for _, s := range tc.suites {
					list = append(list, s)
				}
				tls["cipherSuites"] = list
			}
			edits := badspecs.Edits{"spec.virtualServices[1].layer7.tls": tls}
			if tc.ports > 1 {
				tls["clientCertificates"] = badspecs.Block{"mode": "Required", "caRef": badspecs.Block{"name": "clients"}}
				vips, names := badspecs.List{badspecs.Block{"name": "main", "address": "192.0.2.100"}}, badspecs.List{"main"}
				for i := range 4 {
					name := fmt.Sprintf("more-%d", i)
					vips = append(vips, badspecs.Block{"name": name, "address": fmt.Sprintf("192.0.2.%d", 110+i)})
					names = append(names, name)
				}
				edits["spec.virtualIPs"], edits["spec.virtualServices[1].virtualIPs"] = vips, names
				edits["spec.virtualServices[1].ports"] = badspecs.Ports(int(tc.ports))
			}
			b := typed(t, badspecs.Object(edits))
			in := sampleInput(t, b, nil)
			long := append(certFile(t, "clients.crt"), bytes.Repeat([]byte("# text between certificates\n"), 9000)...)
			in.Secrets[types.NamespacedName{Namespace: b.Namespace, Name: "clients"}] = translate.Secret{Found: true, Data: map[string][]byte{"ca.crt": long}}
			c := acceptedOf(translate.Translate(in), b)
			if (c.Status == "True") != (tc.says == "") || !strings.Contains(c.Message, tc.says) || (tc.says != "" && c.Reason != v1alpha1.ReasonInvalidField) {
				t.Errorf("%+v", c)
			}
		})
	}
}

// TestNamesThatAreNeeded: a certificate may lose a name of serverNames only where another one has it, now and after.
func TestNamesThatAreNeeded(t *testing.T) {
	root := pki.NewAuthority(t, "Root")
	issue := func(names ...string) translate.Secret {
		i := root.Issue(t, pki.Spec{Names: names})
		return translate.Secret{Found: true, CertPEM: i.Chain, KeyPEM: i.KeyPEM(t)}
	}
	x, y, z, both := issue("x.example"), issue("y.example"), issue("z.example"), issue("x.example", "y.example")
	for name, tc := range map[string]struct {
		before, offered [2]translate.Secret
		refused         [2]bool
	}{
		"renewed":            {[2]translate.Secret{x, y}, [2]translate.Secret{issue("x.example"), issue("y.example")}, [2]bool{}},
		"a name is lost":     {[2]translate.Secret{x, y}, [2]translate.Secret{z, y}, [2]bool{true, false}},
		"one twice":          {[2]translate.Secret{x, y}, [2]translate.Secret{y, y}, [2]bool{true, false}},
		"exchanged":          {[2]translate.Secret{x, y}, [2]translate.Secret{y, x}, [2]bool{true, true}},
		"the other has it":   {[2]translate.Secret{x, both}, [2]translate.Secret{z, both}, [2]bool{}},
		"the other loses it": {[2]translate.Secret{both, both}, [2]translate.Secret{z, y}, [2]bool{true, true}},
		"needed by nobody":   {[2]translate.Secret{z, both}, [2]translate.Secret{issue("w.example"), both}, [2]bool{}},
	} {
		t.Run(name, func(t *testing.T) {
			b := typed(t, badspecs.Object(badspecs.Edits{"spec.virtualServices[1].layer7.tls": badspecs.Block{
				"certificateRefs": badspecs.List{badspecs.Block{"name": "first"}, badspecs.Block{"name": "second"}},
				"serverNames":     badspecs.List{"x.example", "y.example"},
			}}))
			in := sampleInput(t, b, nil)
			put := func(pair [2]translate.Secret) translate.Result {
				for i, name := range []string{"first", "second"} {
					in.Secrets[types.NamespacedName{Namespace: b.Namespace, Name: name}] = pair[i]
				}
				return translate.Translate(in)
			}
			in.Previous = put(tc.before).Kept
			result := put(tc.offered)
			got := result.Balancers[types.NamespacedName{Namespace: b.Namespace, Name: b.Name}].Services[1].RefusedSecrets
			for i, name := range []string{"first", "second"} {
				if slices.Contains(got, b.Namespace+"/"+name) != tc.refused[i] {
					t.Errorf("refused are %v, want %v", got, tc.refused)
				}
				want := tc.offered[i]
				if tc.refused[i] {
					want = tc.before[i]
				}
				if tls := result.Node.Proxy.Listeners[0].TLS; !bytes.Equal(tls.Certificates[i].CertPEM, want.CertPEM) {
					t.Errorf("%s serves another certificate", name)
				}
			}
		})
	}
}
