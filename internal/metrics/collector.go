package metrics

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/truepacs/balancer/internal/inspect"
)

const (
	// readTimeout bounds one reading of the kernel.
	readTimeout = 20 * time.Second
	// readAgain is how long a reading is good for: the kernel itself sums up every two seconds, and
	// more scrapers must not cost more.
	readAgain = time.Second
)

// Source is what is shown; *inspect.Source has it.
type Source interface {
	Stats(ctx context.Context) (inspect.Stats, error)
}

var _ Source = (*inspect.Source)(nil)

// Collector reads the kernel when it is asked. Make it with NewCollector.
type Collector struct {
	source Source
	kinds  map[string]*prometheus.Desc

	mu   sync.Mutex
	last inspect.Stats
	err  error
	read time.Time
}

var _ prometheus.Collector = (*Collector)(nil)

// NewCollector returns a collector for a registry.
func NewCollector(source Source) *Collector {
	service := []string{"balancer", "service", "family"}
	server := slices.Concat(service, []string{"server", "address"})
	port := slices.Concat(service, []string{"address", "protocol", "ports"})
	c := &Collector{source: source, kinds: map[string]*prometheus.Desc{}}
	add := func(name, help string, labels []string) {
		c.kinds[name] = prometheus.NewDesc("truepacs_layer4_"+name, help, labels, nil)
	}
	for _, of := range []struct {
		name   string
		labels []string
	}{{"service", service}, {"server", server}} {
		add(of.name+"_connections_total", "Connections scheduled.", of.labels)
		add(of.name+"_received_packets_total", "Packets from clients.", of.labels)
		add(of.name+"_received_bytes_total", "Bytes from clients, IP headers included.", of.labels)
		add(of.name+"_sent_packets_total", "Packets to clients through the director; none with direct routing and tunnels.", of.labels)
		add(of.name+"_sent_bytes_total", "Bytes to clients through the director, IP headers included; none with direct routing and tunnels.", of.labels)
	}
	add("server_active_connections", "Established connections now.", server)
	add("server_inactive_connections", "Connections that are remembered and not established.", server)
	add("server_persistent_clients", "Clients that are remembered.", server)
	add("server_weight", "The server's weight in the kernel; 0: it gets no new connections.", server)
	add("port_received_packets_total", "Packets from clients to a port or range of ports of a virtual IP.", port)
	add("port_received_bytes_total", "Bytes from clients to a port or range of ports of a virtual IP, IP headers included.", port)
	add("dropped_packets_total", "Packets to ports of virtual IPs that nobody declares.", nil)
	add("readable", "1 if the kernel's figures could be read, else 0 and the other metrics are left out.", nil)
	return c
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, d := range c.kinds {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	stats, err := c.stats()
	e := emitter{kinds: c.kinds, out: out}
	if err != nil {
		e.gauge("readable", 0)
		return
	}
	e.gauge("readable", 1)
	e.counter("dropped_packets_total", stats.Dropped)
	for i := range stats.Services {
		e.service(&stats.Services[i])
	}
}

// stats reads the kernel, or returns the last reading while that is new.
func (c *Collector) stats() (inspect.Stats, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.read.IsZero() && time.Since(c.read) < readAgain {
		return c.last, c.err
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	c.last, c.err = c.source.Stats(ctx)
	c.read = time.Now()
	return c.last, c.err
}

// emitter sends metrics.
type emitter struct {
	kinds map[string]*prometheus.Desc
	out   chan<- prometheus.Metric
}

func (e emitter) gauge(name string, value float64, labels ...string) {
	e.out <- prometheus.MustNewConstMetric(e.kinds[name], prometheus.GaugeValue, value, labels...)
}

func (e emitter) counter(name string, value uint64, labels ...string) {
	e.out <- prometheus.MustNewConstMetric(e.kinds[name], prometheus.CounterValue, float64(value), labels...)
}

func (e emitter) service(s *inspect.Service) {
	labels := []string{s.Balancer, s.Name, s.Family}
	e.traffic("service", &s.Total, labels)
	for i := range s.Servers {
		d := &s.Servers[i]
		of := slices.Concat(labels, []string{d.Name, d.Address.Addr().String()})
		if d.Address.Port() != 0 {
			of[4] = d.Address.String()
		}
		e.traffic("server", &d.Total, of)
		e.gauge("server_active_connections", float64(d.Active), of...)
		e.gauge("server_inactive_connections", float64(d.Inactive), of...)
		e.gauge("server_persistent_clients", float64(d.Persistent), of...)
		e.gauge("server_weight", float64(d.Weight), of...)
	}
	for _, p := range s.Ports {
		of := slices.Concat(labels, []string{p.Address.String(), string(p.Protocol), portsName(&p)})
		e.counter("port_received_packets_total", p.Packets, of...)
		e.counter("port_received_bytes_total", p.Bytes, of...)
	}
}

func portsName(p *inspect.Port) string {
	if p.First == p.Last {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

func (e emitter) traffic(of string, t *inspect.Traffic, labels []string) {
	e.counter(of+"_connections_total", t.Connections, labels...)
	e.counter(of+"_received_packets_total", t.PacketsIn, labels...)
	e.counter(of+"_received_bytes_total", t.BytesIn, labels...)
	e.counter(of+"_sent_packets_total", t.PacketsOut, labels...)
	e.counter(of+"_sent_bytes_total", t.BytesOut, labels...)
}
