package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"time"

	"github.com/truepacs/balancer/e2e/cluster/binaries"
	"github.com/truepacs/balancer/e2e/cluster/process"
)

// pollInterval between two looks at a component that is starting.
const pollInterval = 100 * time.Millisecond

// waitServing returns when the component answers, or with its last words when it ends first.
func (c *ControlPlane) waitServing(ctx context.Context, component Component, p *process.Process) error {
	url := c.healthURL(component)
	if url == "" {
		return nil
	}
	client := c.healthClient()
	defer client.CloseIdleConnections()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		last := ask(ctx, client, url)
		if last == nil {
			return nil
		}
		select {
		case <-p.Done():
			return p.Failure()
		case <-ctx.Done():
			return fmt.Errorf("%s does not become ready (%w): %w; its last lines:\n%s",
				component, last, ctx.Err(), process.Tail(p.LogPath(), 15))
		case <-ticker.C:
		}
	}
}

// healthURL is empty for components that nobody connects to.
func (c *ControlPlane) healthURL(component Component) string {
	switch component {
	case binaries.Etcd:
		return loopbackURL(c.ports.etcd) + "/health"
	case binaries.APIServer:
		return c.URL() + "/readyz"
	}
	return ""
}

func (c *ControlPlane) healthClient() *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.ca.Cert)
	return &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			DialContext:     process.Dialer(c.opts.Netns),
			TLSClientConfig: &tls.Config{RootCAs: roots},
		},
	}
}

func ask(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, resp.Status)
	}
	return nil
}

func ended(p *process.Process) bool {
	select {
	case <-p.Done():
		return true
	default:
		return false
	}
}
