package refusals

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/truepacs/balancer/api/v1alpha1"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// small is a balancer that can be changed: one address, one server, one service.
type small struct {
	address, interfaces, server, ports, more string
}

// text is the manifest; fields that are empty have values that fit.
func (s small) text(name string, slot int) string {
	or := func(value, absent string) string {
		if value == "" {
			return absent
		}
		return value
	}
	return fmt.Sprintf(`apiVersion: lb.truepacs.io/v1alpha1
kind: TruePACSBalancer
metadata: {name: %s, namespace: default}
spec:
  virtualIPs:
  - {name: main, address: %s%s}
  serverPools:
  - name: archive
    servers:
    - {name: spare, address: %s}
  virtualServices:
  - {name: dicom, virtualIPs: [main], mode: L4DR, ports: [%s], serverPool: archive}
%s`, name, or(s.address, slotAddress(slot)), s.interfaces, or(s.server, "192.0.2.31"), or(s.ports, "104"), s.more)
}

// web is a service with a certificate.
func web(secret string) string {
	return `  - name: viewer
    virtualIPs: [main]
    mode: L7SNAT
    ports: [443]
    serverPool: archive
    layer7: {application: HTTP, tls: {certificateRefs: [{name: ` + secret + `}]}}
`
}

func second(ports string) string {
	return fmt.Sprintf("  - {name: hl7, virtualIPs: [main], mode: L4DR, ports: [%s], serverPool: archive}\n", ports)
}

// hostCase is a manifest that fits the schema but not the host or its neighbours.
type hostCase struct {
	bad, remedy small
	// secret is a file beside the manifest, remedySecret what replaces it.
	secret, remedySecret string
	// kind is the condition that says so, in a message with field and says.
	kind, field, says string
}

func addressCase(address, says string) hostCase {
	return hostCase{
		bad: small{address: address}, kind: v1alpha1.ConditionAccepted,
		field: "spec.virtualIPs[main].address " + address, says: says + ": write a free address",
	}
}

func hostCases(t *testing.T) map[string]hostCase {
	t.Helper()
	accepted, refs := v1alpha1.ConditionAccepted, v1alpha1.ConditionResolvedRefs
	keyless, mismatched, other := secrets(t)
	return map[string]hostCase{
		"the host's own address":         addressCase(site.DirectorAddress, "is the own address of node lb1"),
		"the gateway's address":          addressCase(gateway, "is the default gateway of node lb1"),
		"the network's first address":    addressCase("192.0.2.0", "which no host may have"),
		"the network's last address":     addressCase("192.0.2.255", "which no host may have"),
		"another balancer's server":      addressCase("192.0.2.11", "is the address of server pacs-a in pool direct of default/flows"),
		"own server":                     {bad: small{address: "192.0.2.32", server: "192.0.2.32"}, kind: accepted, field: "spec.virtualIPs[main].address", says: "is the address of server spare"},
		"an address of no network":       {bad: small{address: "203.0.113.9"}, remedy: small{address: "203.0.113.9", interfaces: ", interfaces: [eth0]"}, kind: accepted, field: "spec.virtualIPs[main].address", says: "write spec.virtualIPs[main].interfaces with one of its interfaces"},
		"an interface that is not there": {bad: small{interfaces: ", interfaces: [eth9]"}, remedy: small{interfaces: ", interfaces: [eth0]"}, kind: accepted, field: "spec.virtualIPs[main].interfaces", says: "write one of its interfaces"},
		"a virtual IP as server":         {bad: small{server: site.VIP}, remedy: small{server: "192.0.2.33"}, kind: accepted, field: "spec.serverPools[archive].servers[spare].address", says: "write the server's own address"},
		"a port twice in one balancer":   {bad: small{more: second("2575, 104")}, remedy: small{more: second("2575")}, kind: accepted, field: "spec.virtualServices[hl7]", says: "write another port or virtual IP here"},
		"a port of the kernel's service": {bad: small{address: site.VIP, ports: "7007"}, remedy: small{address: site.VIP, ports: "7008"}, kind: accepted, field: "spec.virtualServices[dicom]", says: "belongs to service default/flows/direct: write another port or virtual IP here"},
		"a port of the proxy's service":  {bad: small{address: site.VIP, ports: "7107"}, remedy: small{address: site.VIP, ports: "7108"}, kind: accepted, field: "spec.virtualServices[dicom]", says: "belongs to service default/flows/proxied: write another port or virtual IP here"},
		"two servers that are one":       {bad: small{server: "192.0.2.34}\n    - {name: twin, address: 192.0.2.34"}, remedy: small{server: "192.0.2.34}\n    - {name: twin, address: 192.0.2.35"}, kind: accepted, field: "spec.serverPools[archive]", says: "remove one, or write its own address"},
		"a Secret that is not there":     {bad: small{more: web("nowhere")}, remedy: small{more: web("viewer-tls")}, kind: refs, field: "certificateRefs names Secret nowhere", says: "create it"},
		"a Secret without key":           {bad: small{more: web("keyless")}, remedy: small{more: web("keyless")}, secret: keyless, remedySecret: named(other, "keyless"), kind: refs, field: "certificateRefs names Secret keyless", says: "create it"},
		"a key of another certificate":   {bad: small{more: web("mismatched")}, remedy: small{more: web("mismatched")}, secret: mismatched, remedySecret: named(other, "mismatched"), kind: refs, field: "certificateRefs names Secret mismatched", says: "the private key there that belongs to the certificate"},
	}
}

// secrets makes Secrets: one without key, one with the key of another certificate, a good one.
func secrets(t *testing.T) (keyless, mismatched, good string) {
	t.Helper()
	first, _, err := site.Secret()
	suite.Must(t, err)
	good, _, err = site.Secret()
	suite.Must(t, err)
	cert, _, _ := strings.Cut(first, "  tls.key:")
	_, key, found := strings.Cut(good, "  tls.key:")
	if !found {
		t.Fatal("the Secret has no tls.key")
	}
	return named(cert, "keyless"), named(cert+"  tls.key:"+key, "mismatched"), good
}

func named(secret, name string) string {
	return strings.Replace(secret, "name: viewer-tls", "name: "+name, 1)
}

// placedCase is a hostCase with its files.
type placedCase struct {
	hostCase
	title, name string
	slot        int
}

func (c placedCase) put(t *testing.T, h *host, s small, secret string) {
	t.Helper()
	text := s.text(c.name, c.slot)
	if secret != "" {
		text += "---\n" + secret
	}
	h.put(t, c.name+".yaml", text)
}

// refused returns nil if the condition names field and remedy.
func (c placedCase) refused(o overview) error {
	b := o.find(c.name)
	if b == nil {
		return fmt.Errorf("%s (%s) is not shown", c.name, c.title)
	}
	got := meta.FindStatusCondition(b.Status.Conditions, c.kind)
	if got == nil || got.Status != metav1.ConditionFalse || !strings.Contains(got.Message, c.field) || !strings.Contains(got.Message, c.says) {
		return fmt.Errorf("%s (%s): no refusal that names %q and says %q: %+v", c.name, c.title, c.field, c.says, got)
	}
	return nil
}

func (c placedCase) accepted(o overview) error {
	if texts := o.refusals(c.name); len(texts) > 0 {
		return fmt.Errorf("%s (%s): the remedy is refused: %q", c.name, c.title, texts)
	}
	if err := o.programmed(c.name); err != nil {
		return fmt.Errorf("%s (%s): %w", c.name, c.title, err)
	}
	return nil
}

// unfitting writes manifests that only this host can refuse, and then their remedies. Their files
// come before the good one's by name: that must give them no right to what others have.
func unfitting(t *testing.T, h *host) {
	cases := hostCases(t)
	var placed []placedCase
	for title, c := range cases {
		placed = append(placed, placedCase{hostCase: c, title: title})
	}
	slices.SortFunc(placed, func(a, b placedCase) int { return strings.Compare(a.title, b.title) })
	for i := range placed {
		placed[i].slot, placed[i].name = i, fmt.Sprintf("bad-host-%02d", i)
		placed[i].put(t, h, placed[i].bad, placed[i].secret)
	}
	h.await(t, "refusals", func(o overview) error { return each(placed, func(c placedCase) error { return c.refused(o) }) })
	h.unharmed(t, "after manifests that do not fit the host")
	for _, c := range placed {
		c.put(t, h, c.remedy, c.remedySecret)
	}
	h.await(t, "remedies", func(o overview) error {
		return each(placed, func(c placedCase) error { return c.accepted(o) })
	})
	h.unharmed(t, "after the remedies")
	h.remove(t, "bad-*.yaml")
	h.await(t, "removal", onlyGood)
	suite.Verdict(t, "%d manifests that do not fit the host refused with field and remedy, the remedies accepted and programmed", len(placed))
}
