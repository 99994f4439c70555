package metrics_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	"go.uber.org/goleak"

	"github.com/truepacs/balancer/dataplane/certs"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/internal/inspect"
	"github.com/truepacs/balancer/internal/metrics"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// source is a director's figures.
type source struct {
	stats inspect.Stats
	err   error
	reads int
}

func (s *source) Stats(context.Context) (inspect.Stats, error) {
	s.reads++
	return s.stats, s.err
}

func figures() inspect.Stats {
	total := inspect.Traffic{Connections: 5, PacketsIn: 6, BytesIn: 7, PacketsOut: 8, BytesOut: 9}
	return inspect.Stats{Dropped: 4, Services: []inspect.Service{{
		Balancer: "pacs/radiology", Name: "dicom", Family: "IPv4", Total: total,
		Ports: []inspect.Port{
			{Address: netip.MustParseAddr("192.0.2.100"), Protocol: model.TCP, First: 104, Last: 104, Packets: 10, Bytes: 11},
			{Address: netip.MustParseAddr("192.0.2.100"), Protocol: model.TCP, First: 2000, Last: 2010, Packets: 12, Bytes: 13},
		},
		Servers: []inspect.Server{
			{Name: "a", Address: netip.MustParseAddrPort("192.0.2.11:0"), Weight: 3, Active: 1, Inactive: 2, Persistent: 1, Total: total},
			{Name: "a", Address: netip.MustParseAddrPort("192.0.2.11:11112"), Total: total},
		},
	}}}
}

func scrape(t *testing.T, s metrics.Source) string {
	t.Helper()
	answer := httptest.NewRecorder()
	metrics.Handler(s, none).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	if answer.Code != http.StatusOK {
		t.Fatalf("status %d: %s", answer.Code, answer.Body)
	}
	return answer.Body.String()
}

func TestMetrics(t *testing.T) {
	text := scrape(t, &source{stats: figures()})
	const service, server = `{balancer="pacs/radiology",family="IPv4",service="dicom"}`, `{address="192.0.2.11",balancer="pacs/radiology",family="IPv4",server="a",service="dicom"}`
	for _, line := range []string{
		"truepacs_layer4_readable 1", "truepacs_layer4_dropped_packets_total 4",
		"truepacs_layer4_service_connections_total" + service + " 5", "truepacs_layer4_service_received_packets_total" + service + " 6",
		"truepacs_layer4_service_received_bytes_total" + service + " 7", "truepacs_layer4_service_sent_packets_total" + service + " 8",
		"truepacs_layer4_service_sent_bytes_total" + service + " 9",
		"truepacs_layer4_server_connections_total" + server + " 5", "truepacs_layer4_server_active_connections" + server + " 1",
		"truepacs_layer4_server_inactive_connections" + server + " 2", "truepacs_layer4_server_persistent_clients" + server + " 1",
		"truepacs_layer4_server_weight" + server + " 3",
		`truepacs_layer4_server_weight{address="192.0.2.11:11112",balancer="pacs/radiology",family="IPv4",server="a",service="dicom"} 0`,
		`truepacs_layer4_port_received_packets_total{address="192.0.2.100",balancer="pacs/radiology",family="IPv4",ports="104",protocol="TCP",service="dicom"} 10`,
		`truepacs_layer4_port_received_bytes_total{address="192.0.2.100",balancer="pacs/radiology",family="IPv4",ports="2000-2010",protocol="TCP",service="dicom"} 13`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("lacks %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestKernelThatCannotBeRead(t *testing.T) {
	text := scrape(t, &source{stats: figures(), err: errors.New("no module")})
	if !strings.Contains(text, "truepacs_layer4_readable 0\n") || strings.Contains(text, "truepacs_layer4_service_") {
		t.Error(text)
	}
}

// TestScrapersShareAReading: the kernel is not read for each.
func TestScrapersShareAReading(t *testing.T) {
	s := &source{stats: figures()}
	handler := metrics.Handler(s, none)
	for range 20 {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	}
	if s.reads == 0 || s.reads > 10 {
		t.Errorf("%d readings for 20 scrapes", s.reads)
	}
}

// TestRunWaitsForTheAddress: while somebody else has it, that is logged once, and served is when it is
// free; nothing is served where that is asked for.
func TestRunWaitsForTheAddress(t *testing.T) {
	metrics.Run(t.Context(), funcr.New(func(_, args string) { t.Error(args) }, funcr.Options{}), "0", &source{}, none)
	taken := httptest.NewServer(http.NotFoundHandler())
	address := taken.Listener.Addr().String()
	logged := make(chan string, 8)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		metrics.Run(ctx, funcr.New(func(_, args string) { logged <- args }, funcr.Options{}), address, &source{stats: figures()}, none)
	}()
	if text := <-logged; !strings.Contains(text, "--metrics-bind-address") {
		t.Error(text)
	}
	taken.Close()
	var body string
	for body == "" {
		if answer, err := http.Get("http://" + address + "/metrics"); err == nil {
			text, _ := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			body = string(text)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if !strings.Contains(body, "truepacs_layer4_readable 1") {
		t.Error(body)
	}
	cancel()
	<-ended
	http.DefaultClient.CloseIdleConnections()
	if len(logged) > 0 {
		t.Errorf("logged again: %s", <-logged)
	}
}

var none = metrics.NewCertificates(func() []metrics.Certificate { return nil })

func TestCertificates(t *testing.T) {
	until := time.Unix(1800000000, 0)
	shown := metrics.NewCertificates(func() []metrics.Certificate {
		return []metrics.Certificate{{
			Balancer: "pacs/radiology", Service: "viewer", Refused: []string{"pacs/clients"},
			Elements: []certs.Element{
				{Source: "pacs/viewer-tls", Kind: certs.Certificate, Subject: "viewer.example.org", NotAfter: until},
				{Source: "pacs/viewer-tls", Kind: certs.Intermediate, NotAfter: until.Add(time.Second)},
				{Source: "pacs/viewer-tls", Kind: certs.Intermediate, Position: 1, NotAfter: until.Add(2 * time.Second)},
				{Source: "pacs/clients", Kind: certs.RevocationList, NotAfter: until.Add(-time.Second)},
			},
		}}
	})
	answer := httptest.NewRecorder()
	metrics.Handler(&source{}, shown).ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	text := answer.Body.String()
	for _, line := range []string{
		`truepacs_certificate_expiry_timestamp_seconds{balancer="pacs/radiology",kind="Certificate",position="0",secret="viewer-tls",service="viewer"} 1.8e+09`,
		`truepacs_certificate_expiry_timestamp_seconds{balancer="pacs/radiology",kind="Intermediate",position="0",secret="viewer-tls",service="viewer"} 1.800000001e+09`,
		`truepacs_certificate_expiry_timestamp_seconds{balancer="pacs/radiology",kind="Intermediate",position="1",secret="viewer-tls",service="viewer"} 1.800000002e+09`,
		`truepacs_certificate_expiry_timestamp_seconds{balancer="pacs/radiology",kind="RevocationList",position="0",secret="clients",service="viewer"} 1.799999999e+09`,
		`truepacs_certificate_refused{balancer="pacs/radiology",secret="viewer-tls",service="viewer"} 0`,
		`truepacs_certificate_refused{balancer="pacs/radiology",secret="clients",service="viewer"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("lacks %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
