package metrics

import (
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/truepacs/balancer/dataplane/certs"
)

// Certificate is what a service has in use.
type Certificate struct {
	// Balancer is namespace/name, Service the name in spec.virtualServices.
	Balancer, Service string
	// Elements are what expires.
	Elements []certs.Element
	// Refused are namespace/name of Secrets whose content is refused while what was read before is in use.
	Refused []string
}

// Certificates shows when certificates expire. Make it with NewCertificates.
type Certificates struct {
	read            func() []Certificate
	expiry, refused *prometheus.Desc
}

var _ prometheus.Collector = (*Certificates)(nil)

// NewCertificates returns a collector for a registry.
func NewCertificates(read func() []Certificate) *Certificates {
	of := []string{"balancer", "service", "secret"}
	return &Certificates{
		read: read,
		expiry: prometheus.NewDesc("truepacs_certificate_expiry_timestamp_seconds",
			"When a certificate, a certificate of its chain, an authority or a revocation list in use expires, in seconds since 1970.",
			slices.Concat(of, []string{"kind", "position"}), nil),
		refused: prometheus.NewDesc("truepacs_certificate_refused",
			"1 if what a Secret holds is refused and what was read there before is in use, else 0.", of, nil),
	}
}

// Describe implements prometheus.Collector.
func (c *Certificates) Describe(out chan<- *prometheus.Desc) {
	out <- c.expiry
	out <- c.refused
}

// Collect implements prometheus.Collector.
func (c *Certificates) Collect(out chan<- prometheus.Metric) {
	for _, of := range c.read() {
		secrets := map[string]float64{}
		for _, e := range of.Elements {
			out <- prometheus.MustNewConstMetric(c.expiry, prometheus.GaugeValue, float64(e.NotAfter.Unix()),
				of.Balancer, of.Service, secretName(e.Source), string(e.Kind), strconv.Itoa(e.Position))
			secrets[secretName(e.Source)] = 0
		}
		for _, name := range of.Refused {
			secrets[secretName(name)] = 1
		}
		for secret, value := range secrets {
			out <- prometheus.MustNewConstMetric(c.refused, prometheus.GaugeValue, value, of.Balancer, of.Service, secret)
		}
	}
}

// secretName is a Secret's name without its namespace, which is the balancer's.
func secretName(source string) string {
	_, name, _ := strings.Cut(source, "/")
	return name
}
