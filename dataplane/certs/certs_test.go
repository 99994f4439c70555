package certs_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/certs"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/testutil/pki"
	"github.com/truepacs/balancer/dataplane/tlssession"
)

const day = 24 * time.Hour

// at is the time of all decisions here.
var at = time.Now().Truncate(time.Second)

func served(t *testing.T, i pki.Issued) *model.Certificate {
	t.Helper()
	return &model.Certificate{Name: "imaging/tls", CertPEM: i.Chain, KeyPEM: i.KeyPEM(t)}
}

// TestDecide: what is offered in the place of a good certificate for pacs.example and www.pacs.example, and without any before.
func TestDecide(t *testing.T) {
	root := pki.NewAuthority(t, "Hospital Root")
	middle := root.Intermediate(t, "Hospital Issuing", pki.Spec{})
	stale := root.Intermediate(t, "Hospital Old Issuing", pki.Spec{From: at.Add(-3 * day), Until: at.Add(-day)})
	names := []string{"pacs.example", "www.pacs.example"}
	good := middle.Issue(t, pki.Spec{Names: names, Until: at.Add(200 * day)})
	other := root.Issue(t, pki.Spec{Names: []string{"ris.example"}})
	issue := func(by *pki.Authority, s pki.Spec) *model.Certificate { return served(t, by.Issue(t, s)) }
	wrongKey := served(t, good)
	wrongKey.KeyPEM = other.KeyPEM(t)
	reversed := served(t, good)
	reversed.CertPEM = slices.Concat(middle.PEM(), good.PEM())
	unchained := served(t, root.Issue(t, pki.Spec{Names: names}))
	unchained.CertPEM = slices.Concat(unchained.CertPEM, middle.PEM())
	long := served(t, good)
	for range 12 {
		long.CertPEM = slices.Concat(long.CertPEM, root.PEM())
	}
	type expect struct {
		refused string // in place of the good one
		first   string // a flaw, or "refused: ..." if it cannot be served at all; "" nothing is wrong
	}
	for name, tc := range map[string]struct {
		offer *model.Certificate
		needs []string
		want  expect
	}{
		"a renewal":                    {offer: issue(middle, pki.Spec{Names: names})},
		"of another issuer":            {offer: issue(root, pki.Spec{Names: names})},
		"with one name less":           {offer: issue(root, pki.Spec{Names: names[:1]})},
		"as a wildcard":                {offer: issue(root, pki.Spec{Names: []string{"*.pacs.example"}})},
		"RSA":                          {offer: issue(root, pki.Spec{Names: names, RSA: 2048})},
		"missing":                      {nil, nil, expect{"is missing", "refused: is missing"}},
		"wrong key":                    {wrongKey, nil, expect{"cannot be used together", "refused: cannot be used together"}},
		"no certificate":               {&model.Certificate{KeyPEM: wrongKey.KeyPEM}, nil, expect{"no certificate in tls.crt", "refused: no certificate in tls.crt"}},
		"not a certificate":            {&model.Certificate{CertPEM: []byte("-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n")}, nil, expect{"cannot be read", "refused: cannot be read"}},
		"issuer first":                 {reversed, nil, expect{"number 2 of the chain", "refused: write it first"}},
		"too long":                     {long, nil, expect{"has 14 certificates", "refused: more than 10"}},
		"another host's":               {served(t, other), nil, expect{"ris.example and the certificate in use for pacs.example, www.pacs.example", ""}},
		"another's, as asked for":      {served(t, other), []string{"ris.example"}, expect{"", ""}},
		"another's, as needed by none": {served(t, other), []string{}, expect{"", ""}},
		"without a needed name":        {issue(root, pki.Spec{Names: names[:1]}), names, expect{"not for www.pacs.example", ""}},
		"not yet valid":                {issue(root, pki.Spec{Names: names, From: at.Add(day), Until: at.Add(9 * day)}), nil, expect{"is not valid before", "is not valid before"}},
		"expired":                      {issue(root, pki.Spec{Names: names, From: at.Add(-9 * day), Until: at.Add(-day)}), nil, expect{"expired on", "expired on"}},
		"chain not its own":            {unchained, nil, expect{"a chain that does not hold", "is not signed by certificate 2"}},
		"chain expired":                {issue(stale, pki.Spec{Names: names}), nil, expect{`"Hospital Old Issuing" in its chain`, "Hospital Old Issuing"}},
		"for clients only":             {issue(root, pki.Spec{Names: names, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), nil, expect{"serverAuth", "serverAuth"}},
		"short key":                    {issue(root, pki.Spec{Names: names, RSA: 1024}), nil, expect{"1024 bits", "1024 bits"}},
	} {
		t.Run(name, func(t *testing.T) {
			current := served(t, good)
			d := certs.Decide(tc.offer, current, tc.needs, at)
			if tc.want.refused == "" {
				if d.Refused != nil || string(d.Use.Model().CertPEM) != string(tc.offer.CertPEM) {
					t.Errorf("refused: %v", d.Refused)
				}
			} else if d.Refused == nil || !strings.Contains(d.Refused.Error(), tc.want.refused) || string(d.Use.Model().CertPEM) != string(current.CertPEM) || len(d.Flaws) > 0 {
				t.Errorf("refused: %v, flaws %v, want %q and the one before", d.Refused, d.Flaws, tc.want.refused)
			}
			got := ""
			d = certs.Decide(tc.offer, nil, tc.needs, at)
			switch {
			case d.Refused != nil:
				got = "refused: " + d.Refused.Error()
			case len(d.Flaws) > 0:
				got = d.Flaws[0].Message
			}
			for _, part := range strings.SplitAfter(tc.want.first, "refused: ") {
				if !strings.Contains(got, part) || (part == "" && tc.want.first == "" && got != "") {
					t.Errorf("at first: %q, want %q", got, tc.want.first)
				}
			}
			if d.Refused == nil != (d.Use != nil) {
				t.Errorf("at first: used %v, refused %v", d.Use, d.Refused)
			}
		})
	}
}

// TestDecideAfterABadOne: what was bad before is no reason to refuse something as bad or better.
func TestDecideAfterABadOne(t *testing.T) {
	root := pki.NewAuthority(t, "Root")
	names := []string{"pacs.example"}
	spec := map[string]pki.Spec{
		"good":          {Names: names},
		"expired":       {Names: names, From: at.Add(-9 * day), Until: at.Add(-day)},
		"not yet valid": {Names: names, From: at.Add(day), Until: at.Add(9 * day)},
		"short":         {Names: names, RSA: 1024},
	}
	for _, tc := range []struct {
		before, offer string
		refused       bool
	}{
		{"expired", "good", false}, {"expired", "expired", false}, {"expired", "not yet valid", false}, {"expired", "short", false},
		{"not yet valid", "good", false}, {"short", "expired", true}, {"short", "short", false}, {"good", "short", true},
	} {
		before, offer := served(t, root.Issue(t, spec[tc.before])), served(t, root.Issue(t, spec[tc.offer]))
		if d := certs.Decide(offer, before, nil, at); (d.Refused != nil) != tc.refused {
			t.Errorf("%s in place of %s: refused %v", tc.offer, tc.before, d.Refused)
		}
	}
	same := served(t, root.Issue(t, spec["expired"]))
	if d := certs.Decide(same, same, nil, at); d.Refused != nil || len(d.Flaws) != 1 {
		t.Errorf("one that has expired in use: %v %v", d.Refused, d.Flaws)
	}
	broken := &model.Certificate{CertPEM: same.CertPEM}
	if d := certs.Decide(broken, broken, nil, at); d.Use != nil || d.Refused == nil {
		t.Error("a certificate without its key is used")
	}
	if d := certs.Decide(same, nil, nil, time.Time{}); len(d.Flaws) != 0 {
		t.Errorf("without a clock: %v", d.Flaws)
	}
}

func TestUncovered(t *testing.T) {
	root := pki.NewAuthority(t, "Root")
	names := []string{"A.example", "*.example", "x.y.example", "192.0.2.1"}
	wildcard := pair(t, root.Issue(t, pki.Spec{Names: []string{"*.example"}}))
	if got := certs.Uncovered(names, []*certs.Pair{wildcard}); !slices.Equal(got, names[2:]) {
		t.Errorf("uncovered %v", got)
	}
	address := pair(t, root.Issue(t, pki.Spec{Names: []string{"192.0.2.1"}}))
	if got := certs.Uncovered(names, []*certs.Pair{wildcard, address}); !slices.Equal(got, names[2:3]) {
		t.Errorf("uncovered %v", got)
	}
}

func pair(t *testing.T, i pki.Issued) *certs.Pair {
	t.Helper()
	p, err := certs.Parse(*served(t, i))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestSelect: by name, an exact one before a wildcard, and by the keys that the client takes.
func TestSelect(t *testing.T) {
	root := pki.NewAuthority(t, "Root")
	list := map[string]*certs.Pair{
		"first":    pair(t, root.Issue(t, pki.Spec{Names: []string{"first.example"}})),
		"rsa":      pair(t, root.Issue(t, pki.Spec{Names: []string{"Pacs.example"}, RSA: 2048})),
		"ecdsa":    pair(t, root.Issue(t, pki.Spec{Names: []string{"pacs.example"}})),
		"wildcard": pair(t, root.Issue(t, pki.Spec{Names: []string{"*.example"}})),
	}
	s := certs.NewSelector([]*certs.Pair{list["first"], list["rsa"], list["ecdsa"], list["wildcard"]})
	modern := []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256, tls.PSSWithSHA256}
	old := []tls.SignatureScheme{tls.PSSWithSHA256, tls.PKCS1WithSHA256}
	for _, tc := range []struct {
		name    string
		schemes []tls.SignatureScheme
		want    string
	}{
		{"pacs.example", modern, "ecdsa"}, {"PACS.example", modern, "ecdsa"}, {"pacs.example", old, "rsa"},
		{"first.example", modern, "first"}, {"x.example", modern, "wildcard"}, {"a.b.example", modern, "first"}, {"example", modern, "first"},
		{"", modern, "first"}, {"other.test", modern, "first"}, {"", old, "rsa"}, {"x.example", old, "rsa"}, {"*.example", modern, "wildcard"},
	} {
		got, err := s.Select(&tls.ClientHelloInfo{
			ServerName: tc.name, SignatureSchemes: tc.schemes, SupportedVersions: []uint16{tls.VersionTLS13},
			CipherSuites: []uint16{tls.TLS_AES_128_GCM_SHA256}, SupportedCurves: []tls.CurveID{tls.X25519, tls.CurveP256},
		})
		if err != nil || got != list[tc.want].TLS() {
			t.Errorf("%q %v: not %s (%v)", tc.name, tc.schemes, tc.want, err)
		}
	}
	if _, err := certs.NewSelector(nil).Select(&tls.ClientHelloInfo{}); err == nil {
		t.Error("a certificate out of nothing")
	}
}

func TestStages(t *testing.T) {
	year := certs.Element{NotBefore: at, NotAfter: at.Add(365 * day)}
	quarter := certs.Element{NotBefore: at, NotAfter: at.Add(90 * day)}
	week := certs.Element{NotBefore: at, NotAfter: at.Add(7 * day)}
	century := certs.Element{NotBefore: at, NotAfter: at.Add(36500 * day)}
	for _, tc := range []struct {
		e    certs.Element
		left time.Duration
		want certs.Stage
	}{
		{year, 31 * day, certs.Fine}, {year, 30*day - 1, certs.Soon}, {year, 7*day - 1, certs.Urgent}, {year, -1, certs.Expired},
		{quarter, 28 * day, certs.Fine}, {quarter, 26 * day, certs.Soon}, {quarter, 6 * day, certs.Urgent},
		{week, 3 * day, certs.Fine}, {week, 2 * day, certs.Soon}, {week, 12 * time.Hour, certs.Urgent}, {week, -1, certs.Expired},
		{century, 31 * day, certs.Fine}, {century, 29 * day, certs.Soon},
	} {
		if got := tc.e.Stage(tc.e.NotAfter.Add(-tc.left)); got != tc.want {
			t.Errorf("a life of %v with %v left: stage %d, want %d", tc.e.NotAfter.Sub(tc.e.NotBefore), tc.left, got, tc.want)
		}
	}
	if year.Stage(time.Time{}) != certs.Fine {
		t.Error("without a clock something expires")
	}
}

func TestElements(t *testing.T) {
	root := pki.NewAuthority(t, "Root")
	middle := root.Intermediate(t, "Issuing", pki.Spec{})
	leaf := middle.Issue(t, pki.Spec{Names: []string{"pacs.example"}})
	got := pair(t, leaf).Elements()
	if len(got) != 2 || got[0].Kind != certs.Certificate || got[0].Subject != "pacs.example" || !got[0].NotAfter.Equal(leaf.Cert.NotAfter) ||
		got[1].Kind != certs.Intermediate || got[1].Subject != "Issuing" || got[1].Position != 0 || got[1].Source != "imaging/tls" {
		t.Errorf("%+v", got)
	}
	a, err := certs.ParseAuthorities(model.Bundle{Name: "imaging/ca", Data: root.PEM()}, &model.Bundle{Name: "imaging/crl", Data: root.CRL(t, at.Add(day))})
	if err != nil {
		t.Fatal(err)
	}
	got = a.Elements()
	if len(got) != 2 || got[0].Kind != certs.Authority || got[0].Source != "imaging/ca" ||
		got[1].Kind != certs.RevocationList || got[1].Source != "imaging/crl" || !got[1].NotAfter.Equal(at.Add(day).UTC()) {
		t.Errorf("%+v", got)
	}
}

func bundle(data []byte) *model.Bundle { return &model.Bundle{Name: "imaging/trust", Data: data} }

// TestDecideTrust: authorities and lists let clients in, so without good ones nothing is used.
func TestDecideTrust(t *testing.T) {
	root, second := pki.NewAuthority(t, "Root"), pki.NewAuthority(t, "Second")
	gone := pki.NewAuthorityUntil(t, "Gone", at.Add(-day))
	crl := root.CRL(t, at.Add(day))
	part := func(id asn1.ObjectIdentifier) []byte {
		return root.CRLOf(t, x509.RevocationList{ThisUpdate: at, NextUpdate: at.Add(2 * day), ExtraExtensions: []pkix.Extension{{Id: id, Critical: true, Value: []byte{0x30, 0}}}})
	}
	indirect := root.CRLOf(t, x509.RevocationList{ThisUpdate: at, NextUpdate: at.Add(2 * day), RevokedCertificateEntries: []x509.RevocationListEntry{{
		SerialNumber: root.Cert.SerialNumber, RevocationTime: at, ExtraExtensions: []pkix.Extension{{Id: asn1.ObjectIdentifier{2, 5, 29, 29}, Critical: true, Value: []byte{0x30, 0}}},
	}}})
	forged := slices.Clone(second.CRL(t, at.Add(day)))
	der, _ := pem.Decode(crl)
	both := slices.Concat(root.PEM(), second.PEM())
	for name, tc := range map[string]struct {
		ca, crl     []byte // offered
		oldCA, oldL []byte
		refusedCA   string
		refusedCRL  string
		used        string // new, old, none; of the part that is refused
	}{
		"authorities":                 {ca: root.PEM(), used: "new"},
		"authorities and lists":       {ca: root.PEM(), crl: crl, used: "new"},
		"a list in DER":               {ca: root.PEM(), crl: der.Bytes, used: "new"},
		"no authority":                {ca: []byte("text"), refusedCA: "no certificate of an authority", used: "none"},
		"no authority any more":       {ca: nil, oldCA: root.PEM(), refusedCA: "no certificate of an authority", used: "old"},
		"a server's certificate":      {ca: root.Issue(t, pki.Spec{Names: []string{"a"}}).PEM(), oldCA: root.PEM(), refusedCA: "is not an authority's", used: "old"},
		"expired ones":                {ca: gone.PEM(), oldCA: root.PEM(), refusedCA: "only expired authorities", used: "old"},
		"expired ones at first":       {ca: gone.PEM(), used: "new"},
		"others":                      {ca: second.PEM(), oldCA: root.PEM(), used: "new"},
		"too long":                    {ca: make([]byte, certs.MaxBundle+1), oldCA: root.PEM(), refusedCA: "more than", used: "old"},
		"no list":                     {ca: root.PEM(), crl: []byte("text"), refusedCRL: "no revocation list", used: "none"},
		"a list that is gone":         {ca: root.PEM(), crl: []byte{}, oldL: crl, refusedCRL: "no revocation list", used: "old"},
		"a broken list":               {ca: root.PEM(), crl: []byte{0x30, 1, 2}, oldL: crl, refusedCRL: "cannot be read", used: "old"},
		"a list of someone else":      {ca: root.PEM(), crl: forged, oldL: crl, refusedCRL: "none of the authorities in caRef has signed", used: "old"},
		"a list of someone at first":  {ca: root.PEM(), crl: forged, refusedCRL: "none of the authorities", used: "none"},
		"a newer list":                {ca: root.PEM(), crl: root.CRL(t, at.Add(2*day)), oldL: crl, used: "new"},
		"an older list":               {ca: root.PEM(), crl: root.CRL(t, at.Add(-day)), oldL: crl, refusedCRL: "the one in use is from", used: "old"},
		"an expired list at first":    {ca: root.PEM(), crl: root.CRL(t, at.Add(-day)), used: "new"},
		"a newer list that ended":     {ca: root.PEM(), crl: root.CRLOf(t, x509.RevocationList{ThisUpdate: at.Add(-time.Hour), NextUpdate: at.Add(-time.Second)}), oldL: root.CRLOf(t, x509.RevocationList{ThisUpdate: at.Add(-day), NextUpdate: at.Add(day)}), refusedCRL: "expired on", used: "old"},
		"a list less":                 {ca: both, crl: crl, oldL: slices.Concat(crl, second.CRL(t, at.Add(day))), refusedCRL: "lacks the revocation list of \"Second\"", used: "old"},
		"a delta list":                {ca: root.PEM(), crl: part(asn1.ObjectIdentifier{2, 5, 29, 27}), oldL: crl, refusedCRL: "2.5.29.27", used: "old"},
		"a part of a list":            {ca: root.PEM(), crl: part(asn1.ObjectIdentifier{2, 5, 29, 28}), oldL: crl, refusedCRL: "2.5.29.28", used: "old"},
		"an indirect list":            {ca: root.PEM(), crl: indirect, oldL: crl, refusedCRL: "2.5.29.29", used: "old"},
		"an old list of others":       {ca: second.PEM(), crl: crl, oldL: crl, refusedCRL: "none of the authorities", used: "none"},
		"a list that revokes its own": {ca: root.PEM(), crl: root.CRL(t, at.Add(day), root.Cert), refusedCRL: "revokes every authority", used: "none"},
		"too long a list":             {ca: root.PEM(), crl: make([]byte, certs.MaxBundle+1), oldL: crl, refusedCRL: "more than", used: "old"},
	} {
		t.Run(name, func(t *testing.T) {
			offer, current := certs.Trust{CA: bundle(tc.ca)}, certs.Trust{}
			if tc.crl != nil {
				offer.CRL = bundle(tc.crl)
			}
			if tc.oldCA != nil {
				current.CA = bundle(tc.oldCA)
			}
			if tc.oldL != nil {
				current.CRL = bundle(tc.oldL)
			}
			d := certs.DecideTrust(offer, current, at)
			for what, c := range map[string]struct {
				got  error
				want string
			}{"CA": {d.RefusedCA, tc.refusedCA}, "CRL": {d.RefusedCRL, tc.refusedCRL}} {
				if (c.want == "") != (c.got == nil) || (c.got != nil && !strings.Contains(c.got.Error(), c.want)) {
					t.Errorf("%s refused: %v, want %q", what, c.got, c.want)
				}
			}
			switch tc.used {
			case "none":
				if d.Use != nil {
					t.Error("something is used")
				}
			case "new":
				if d.Use == nil || d.CA != offer.CA || (d.CRL == nil) != (offer.CRL == nil) {
					t.Errorf("used %v", d)
				}
			case "old":
				if d.Use == nil || (tc.refusedCA != "" && d.CA != current.CA) || (tc.refusedCRL != "" && d.CRL != current.CRL) {
					t.Errorf("used %v", d)
				}
			}
		})
	}
}

// TestRevoked: each certificate below the trusted one needs a current list that does not name it.
func TestRevoked(t *testing.T) {
	root := pki.NewAuthority(t, "Root")
	middle := root.Intermediate(t, "Issuing", pki.Spec{})
	client, bad := middle.Issue(t, pki.Spec{CommonName: "viewer 1"}), middle.Issue(t, pki.Spec{CommonName: "viewer 2"})
	tomorrow := at.Add(day)
	read := func(cas []byte, lists ...[]byte) *certs.Authorities {
		var l *model.Bundle
		if lists != nil {
			l = bundle(slices.Concat(lists...))
		}
		a, err := certs.ParseAuthorities(*bundle(cas), l)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	both := slices.Concat(root.PEM(), middle.PEM())
	chain := func(leaf pki.Issued) [][]*x509.Certificate {
		return [][]*x509.Certificate{{leaf.Cert, middle.Cert, root.Cert}}
	}
	rootList, middleList := root.CRL(t, tomorrow), middle.CRL(t, tomorrow, bad.Cert)
	older := middle.CRL(t, at.Add(time.Hour))
	for name, tc := range map[string]struct {
		a      *certs.Authorities
		chains [][]*x509.Certificate
		now    time.Time
		want   tlssession.Reason
		text   string
	}{
		"good":                        {a: read(both, rootList, middleList), chains: chain(client)},
		"no certificate":              {a: read(both, rootList, middleList)},
		"not asked for":               {a: read(both), chains: chain(bad)},
		"revoked":                     {a: read(both, rootList, middleList), chains: chain(bad), want: tlssession.Revoked, text: "is revoked"},
		"older list last":             {a: read(both, rootList, middleList, older), chains: chain(bad), want: tlssession.Revoked},
		"older list first":            {a: read(both, rootList, older, middleList), chains: chain(bad), want: tlssession.Revoked},
		"issuer revoked":              {a: read(both, root.CRL(t, tomorrow, middle.Cert), middleList), chains: chain(client), want: tlssession.Revoked, text: `of "Root" is revoked`},
		"one chain of two":            {a: read(both, root.CRL(t, tomorrow, middle.Cert), middleList), chains: append(chain(client), []*x509.Certificate{client.Cert, middle.Cert})},
		"list expired":                {a: read(both, rootList, middleList), chains: chain(client), now: at.Add(2 * day), want: tlssession.BadCertificate, text: "expired on"},
		"no list of the issuer":       {a: read(both, rootList), chains: chain(client), want: tlssession.BadCertificate, text: `no revocation list of "Issuing"`},
		"trusted itself":              {a: read(both, rootList), chains: [][]*x509.Certificate{{client.Cert}}},
		"no list above, trusted here": {a: read(middle.PEM(), middleList), chains: [][]*x509.Certificate{{client.Cert, middle.Cert}}},
	} {
		t.Run(name, func(t *testing.T) {
			now := tc.now
			if now.IsZero() {
				now = at
			}
			err := tc.a.Revoked(tc.chains, now)
			var r *certs.RevocationError
			if errors.As(err, &r) != (tc.want != "") || (r != nil && (r.TLSReason() != string(tc.want) || !strings.Contains(r.Error(), tc.text))) {
				t.Errorf("%v, want %s %s", err, tc.want, tc.text)
			}
		})
	}
	if got := read(both, rootList).Unlisted(); !slices.Equal(got, []string{"Issuing"}) {
		t.Errorf("unlisted %v", got)
	}
	// An authority that its own issuer revoked is trusted no more, however it stands in the bundle.
	pool := read(both, root.CRL(t, tomorrow, middle.Cert), middleList).Pool()
	if want := read(root.PEM()).Pool(); !pool.Equal(want) {
		t.Error("a revoked authority is trusted")
	}
}

func TestCipherSuites(t *testing.T) {
	for name, says := range map[string]string{
		"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256": "", "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256": "",
		"TLS_RSA_WITH_AES_128_GCM_SHA256": "is insecure", "TLS_ECDHE_RSA_WITH_RC4_128_SHA": "is insecure", "TLS_AES_128_GCM_SHA256": "belongs to TLS 1.3",
		"ECDHE-RSA-AES128-GCM-SHA256": "is not known: use TLS_ECDHE_",
	} {
		id, err := certs.CipherSuite(name)
		if (err == nil) != (says == "") || (err != nil && !strings.Contains(err.Error(), says)) || certs.SecureSuite(id) != (says == "") {
			t.Errorf("%s: %#04x, %v", name, id, err)
		}
	}
	root := pki.NewAuthority(t, "Root")
	ecdsa, rsa := pair(t, root.Issue(t, pki.Spec{Names: []string{"a"}})), pair(t, root.Issue(t, pki.Spec{Names: []string{"a"}, RSA: 2048}))
	for _, tc := range []struct {
		suites     []uint16
		ecdsa, rsa bool
	}{
		{nil, true, true},
		{[]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}, false, true},
		{[]uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, true, false},
		{[]uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256}, true, true},
	} {
		if ecdsa.WorksWith(tc.suites) != tc.ecdsa || rsa.WorksWith(tc.suites) != tc.rsa {
			t.Errorf("%x: %+v", tc.suites, tc)
		}
	}
}
