package translate_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/translate"
)

func TestWithoutKeysLeavesTheOriginalAlone(t *testing.T) {
	k := translate.Kept{Layer7: []model.Listener{
		{Name: "plain"},
		{Name: "tls", TLS: &model.TLS{Certificates: []model.Certificate{{Name: "a/b", CertPEM: []byte("c"), KeyPEM: []byte("k")}}}},
	}}
	bare := k.WithoutKeys()
	if got := bare.Layer7[1].TLS.Certificates[0]; len(got.KeyPEM) != 0 || string(got.CertPEM) != "c" {
		t.Errorf("the copy has key %q and certificate %q", got.KeyPEM, got.CertPEM)
	}
	if string(k.Layer7[1].TLS.Certificates[0].KeyPEM) != "k" {
		t.Error("the original lost its key")
	}
	if bare.Layer7[0].Name != "plain" || (translate.Kept{}).WithoutKeys().Layer7 != nil {
		t.Error("listeners without TLS changed")
	}
}

func TestWithKeysTakesThemFromTheSameCertificate(t *testing.T) {
	listeners := func(certificates ...model.Certificate) []model.Listener {
		return []model.Listener{{Name: "tls", TLS: &model.TLS{Certificates: certificates}}}
	}
	kept := translate.Kept{Layer7: listeners(
		model.Certificate{Name: "a/b", CertPEM: []byte("same")}, model.Certificate{Name: "a/c", CertPEM: []byte("renewed")})}
	got := kept.WithKeys(listeners(
		model.Certificate{Name: "a/b", CertPEM: []byte("same"), KeyPEM: []byte("k")},
		model.Certificate{Name: "a/c", CertPEM: []byte("old"), KeyPEM: []byte("old key")})).Layer7[0].TLS.Certificates
	if string(got[0].KeyPEM) != "k" || len(got[1].KeyPEM) != 0 {
		t.Errorf("keys %q and %q", got[0].KeyPEM, got[1].KeyPEM)
	}
	if len(kept.Layer7[0].TLS.Certificates[0].KeyPEM) != 0 {
		t.Error("the original changed")
	}
}

func TestSecretRefsAreSortedAndDistinct(t *testing.T) {
	tls := func(names ...string) *v1alpha1.Layer7 {
		l := &v1alpha1.Layer7{TLS: &v1alpha1.ListenerTLS{}}
		for _, n := range names {
			l.TLS.CertificateRefs = append(l.TLS.CertificateRefs, v1alpha1.SecretReference{Name: n})
		}
		return l
	}
	b := &v1alpha1.TruePACSBalancer{}
	b.Namespace = "imaging"
	b.Spec.VirtualServices = []v1alpha1.VirtualService{{}, {Layer7: tls("b", "a")}, {Layer7: tls("a")}, {Layer7: &v1alpha1.Layer7{}}}
	want := []types.NamespacedName{{Namespace: "imaging", Name: "a"}, {Namespace: "imaging", Name: "b"}}
	if diff := cmp.Diff(want, translate.SecretRefs(b)); diff != "" {
		t.Error(diff)
	}
}

func TestMetaOfACondition(t *testing.T) {
	c := translate.Condition{Type: "Accepted", Status: "True", Reason: "Accepted", Message: "m"}
	got := c.Meta(7)
	if got.ObservedGeneration != 7 || got.Type != c.Type || got.Status != c.Status || got.Reason != c.Reason || got.Message != c.Message {
		t.Errorf("got %+v", got)
	}
}
