// Command nethttp FRONT.json is a front made of net/http's ReverseProxy, to be compared with: what most
// balancers written in Go are. Its servers take turns.
package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"os"
	"sync/atomic"
	"time"

	"github.com/truepacs/balancer/e2e/peers"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	text, err := os.ReadFile(os.Args[1])
	if err != nil {
		return err
	}
	var front peers.Front
	if err := json.Unmarshal(text, &front); err != nil {
		return err
	}
	failed := make(chan error)
	for _, l := range front.Listeners {
		go func() { failed <- serve(front.Address, l) }()
	}
	return <-failed
}

func serve(address netip.Addr, l peers.Listener) error {
	server := &http.Server{Addr: netip.AddrPortFrom(address, l.Port).String(), Handler: proxy(l), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	switch l.Protocol {
	case peers.HTTP:
		return server.ListenAndServe()
	case peers.HTTPS:
		return server.ListenAndServeTLS(l.Certificate, l.Key)
	default:
		return fmt.Errorf("listener %s: net/http speaks no %s", l.Name, l.Protocol)
	}
}

// proxy forwards to the servers in turns.
func proxy(l peers.Listener) http.Handler {
	var turn atomic.Uint64
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			server := l.Servers[turn.Add(1)%uint64(len(l.Servers))]
			r.Out.URL.Scheme, r.Out.URL.Host = "http", server.String()
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		Transport: &http.Transport{MaxIdleConnsPerHost: 256, IdleConnTimeout: 4 * time.Second, DisableCompression: true},
	}
}
