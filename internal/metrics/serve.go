package metrics

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/pflag"
)

// DefaultAddress is where metrics are served unless told otherwise: only this host reaches it.
const DefaultAddress = "127.0.0.1:9469"

// AddFlag registers the flag that says where metrics are served.
func AddFlag(fs *pflag.FlagSet, address *string) {
	fs.StringVar(address, "metrics-bind-address", DefaultAddress,
		"where to serve metrics over HTTP without authentication, for example :9469 behind a firewall; 0: nowhere")
}

// tryAgain is how long to wait where somebody else has the port: an agent before this one may.
const tryAgain = 5 * time.Second

// Run serves metrics at /metrics of an address until ctx ends; an empty one or 0: not at all. It never
// keeps anything else from working: what fails is logged, and tried again.
func Run(ctx context.Context, logger logr.Logger, address string, source Source, certificates *Certificates) {
	if address == "" || address == "0" {
		return
	}
	handler := Handler(source, certificates)
	told := ""
	for ctx.Err() == nil {
		if err := serve(ctx, address, handler); err != nil && err.Error() != told {
			told = err.Error()
			logger.Error(err, "metrics are not served for now; free the address or write another with --metrics-bind-address", "address", address)
		}
		select {
		case <-ctx.Done():
		case <-time.After(tryAgain):
		}
	}
}

// Handler answers GET /metrics.
func Handler(source Source, certificates *Certificates) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(source), certificates, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 30 * time.Second}))
	return mux
}

func serve(ctx context.Context, address string, handler http.Handler) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return fmt.Errorf("listen for scrapers: %w", err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer scrapers: %w", err)
	}
	return nil
}
