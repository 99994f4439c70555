package inspect

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/truepacs/balancer/dataplane/explain"
)

// SocketPath is the unix socket for the administrator's commands.
func SocketPath(runDir string) string { return filepath.Join(runDir, "admin.sock") }

// Serve answers commands at the socket of a folder until ctx ends. Only root may connect. What a
// process that is gone has left there is replaced, so the caller must be the only one that acts.
func Serve(ctx context.Context, runDir string, mux *http.ServeMux) error {
	path := SocketPath(runDir)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("listen for commands: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("answer commands: %w", err)
	}
	return nil
}

// maxQuestion bounds a question, in bytes.
const maxQuestion = 64 << 10

// Register adds the answers to a mux.
func (s *Source) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /explain", s.answerExplain)
	mux.HandleFunc("GET /connections", s.answerConnections)
	mux.HandleFunc("GET /stats", s.answerStats)
}

func (s *Source) answerExplain(w http.ResponseWriter, r *http.Request) {
	var q explain.Question
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxQuestion)).Decode(&q); err != nil {
		http.Error(w, fmt.Sprintf("the question cannot be understood: %v", err), http.StatusBadRequest)
		return
	}
	answer, err := s.Explain(r.Context(), q)
	reply(w, answer, err)
}

func (s *Source) answerStats(w http.ResponseWriter, r *http.Request) {
	stats, err := s.Stats(r.Context())
	reply(w, stats, err)
}

func reply(w http.ResponseWriter, answer any, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer)
}

// line is one line of the answer about connections: a connection, or at last the End.
type line struct {
	*Connection
	End *End `json:"end,omitempty"`
}

// End ends the answer about connections.
type End struct {
	// Chosen is how many the filter chose, also beyond the limit.
	Chosen int `json:"chosen"`
	// Error says why there may be more.
	Error string `json:"error,omitempty"`
}

func (s *Source) answerConnections(w http.ResponseWriter, r *http.Request) {
	filter, limit, err := filterOf(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	out := json.NewEncoder(w)
	var end End
	err = s.Connections(r.Context(), filter, func(c Connection) error {
		end.Chosen++
		if limit > 0 && end.Chosen > limit {
			return nil
		}
		return out.Encode(line{Connection: &c})
	})
	if err != nil {
		end.Error = err.Error()
	}
	_ = out.Encode(line{End: &end})
}

func filterOf(r *http.Request) (Filter, int, error) {
	values := r.URL.Query()
	f := Filter{Server: values.Get("server"), Service: values.Get("service")}
	if text := values.Get("client"); text != "" {
		var err error
		if f.Client, err = ParseClient(text); err != nil {
			return f, 0, err
		}
	}
	limit, err := strconv.Atoi(values.Get("limit"))
	if err != nil || limit < 0 {
		return f, 0, fmt.Errorf("limit %q: write a number from 0 on", values.Get("limit"))
	}
	return f, limit, nil
}
