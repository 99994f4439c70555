package host

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"

	"github.com/truepacs/balancer/internal/inspect"
)

// AdminPath is the unix socket for the administrator's commands.
func AdminPath(runDir string) string { return inspect.SocketPath(runDir) }

// serveAdmin answers the administrator's commands until ctx ends. Only root may connect.
func (h *Host) serveAdmin(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", h.answerStatus)
	mux.HandleFunc("POST /release", h.answerRelease)
	h.wiring.Inspect().Register(mux)
	return inspect.Serve(ctx, h.options.RunDir, mux)
}

func (h *Host) answerStatus(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(h.Status())
}

func (h *Host) answerRelease(w http.ResponseWriter, r *http.Request) {
	if err := h.release(r.Context()); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, h.wiring.Kept())
}

// AskStatus asks the `truepacs run` of this host for its balancers with their status.
func AskStatus(ctx context.Context, runDir string) (*Overview, error) {
	body, err := ask(ctx, runDir, http.MethodGet, "/status")
	if err != nil {
		return nil, err
	}
	var overview Overview
	if err := json.Unmarshal(body, &overview); err != nil {
		return nil, fmt.Errorf("understand the answer: %w", err)
	}
	return &overview, nil
}

// ErrNotRunning says that no `truepacs run` answers on this host.
var ErrNotRunning = errors.New("truepacs run does not run on this host")

// AskRelease makes the `truepacs run` of this host give everything back and end. kept says what
// stays for the sake of others, and why; empty: nothing.
func AskRelease(ctx context.Context, runDir string) (kept string, err error) {
	body, err := ask(ctx, runDir, http.MethodPost, "/release")
	return string(body), err
}

func ask(ctx context.Context, runDir, method, path string) ([]byte, error) {
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", AdminPath(runDir))
		},
	}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, method, "http://host"+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		if ctx.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded) {
			return nil, fmt.Errorf("truepacs run of this host has not answered in time; it may be busy, ask again in a few seconds: %w", err)
		}
		return nil, fmt.Errorf("%w (start it with truepacs run -f FOLDER --node NAME, and call this as root): %w", ErrNotRunning, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		return nil, errors.New(string(body))
	}
	return body, nil
}
