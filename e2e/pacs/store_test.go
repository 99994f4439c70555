package pacs

import (
	"testing"

	"github.com/truepacs/balancer/e2e/lab"
)

// TestCorpusCanBeStored stores the whole corpus in an Orthanc without a balancer: what fails
// here is no fault of the product.
func TestCorpusCanBeStored(t *testing.T) {
	l, err := lab.New(lab.Options{Name: "pacs", Log: t.Logf})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	lan, err := l.Network("lan")
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Namespace("pacs-a", lab.NIC{Network: lan, Addresses: lab.Prefixes("192.0.2.11/24")})
	if err != nil {
		t.Fatal(err)
	}
	client, err := l.Namespace("ct", lab.NIC{Network: lan, Addresses: lab.Prefixes("192.0.2.51/24")})
	if err != nil {
		t.Fatal(err)
	}
	orthanc, err := StartOrthanc(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	corpus, err := Corpus(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	modality := Modality{Host: client, AETitle: "CT1", Server: "192.0.2.11", Port: DICOMPort}
	sent := map[string]string{}
	for _, instance := range corpus {
		code, output, err := modality.Store(t.Context(), instance)
		if err != nil || code != 0 {
			t.Errorf("%s: exit status %d, %v\n%s", instance.Path, code, err, output)
		}
		sent[instance.SOP] = instance.Hash
	}
	stored, err := orthanc.Stored(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, instance := range stored {
		if sent[instance.SOP] != instance.Hash {
			t.Errorf("%s: hash %s, sent %s", instance.SOP, instance.Hash, sent[instance.SOP])
		}
		delete(sent, instance.SOP)
	}
	for sop := range sent {
		t.Errorf("%s is missing", sop)
	}
	t.Logf("%d instances stored", len(stored))
}
