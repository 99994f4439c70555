package agent

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Server does the work that clients ask for. Create it with NewServer.
type Server struct {
	reaper *reaper
}

// NewServer returns a server. There must be one at most in a process, and the
// process must start children through it alone: it waits for all of them.
func NewServer() *Server {
	return &Server{reaper: newReaper()}
}

// Serve answers connections until the listener fails, and returns why it did.
func (s *Server) Serve(listener net.Listener) error {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("agent: accept: %w", err)
		}
		go s.handle(conn)
	}
}

func (s *Server) handle(conn net.Conn) {
	defer conn.Close()
	request, err := readRequest(conn)
	if err != nil {
		return
	}
	if err := s.dispatch(conn, request); err != nil {
		_ = writeFrame(conn, kindError, []byte(err.Error()))
	}
}

func readRequest(conn net.Conn) (Request, error) {
	var request Request
	k, payload, err := readFrame(conn, nil)
	if err != nil {
		return request, err
	}
	if k != kindRequest {
		return request, fmt.Errorf("first frame is of kind %q", string(k))
	}
	return request, json.Unmarshal(payload, &request)
}

func (s *Server) dispatch(conn net.Conn, request Request) error {
	switch request.Operation {
	case opPing:
		return writeFrame(conn, kindComplete, nil)
	case opStart:
		return s.run(conn, request)
	case opPut:
		return receiveFile(conn, request)
	case opGet:
		return sendFile(conn, request.Path)
	case opDial:
		return relay(conn, request)
	case opClock:
		return setClock(conn, request.Clock)
	}
	return fmt.Errorf("agent: operation %q is unknown: guest program and test are of different versions", request.Operation)
}

func setClock(conn net.Conn, nanoseconds int64) error {
	now := syscall.NsecToTimeval(nanoseconds)
	if err := syscall.Settimeofday(&now); err != nil {
		return fmt.Errorf("set the clock: %w", err)
	}
	return writeFrame(conn, kindComplete, nil)
}

// receiveFile writes beside the target and renames, so that a reader in the host
// sees the old file or the whole new one. A running program can be replaced.
func receiveFile(conn net.Conn, request Request) error {
	if err := os.MkdirAll(filepath.Dir(request.Path), 0o755); err != nil {
		return fmt.Errorf("put %s: %w", request.Path, err)
	}
	file, err := os.CreateTemp(filepath.Dir(request.Path), ".put-*")
	if err != nil {
		return fmt.Errorf("put %s: %w", request.Path, err)
	}
	err = copyFrames(file, conn)
	if err == nil {
		err = file.Chmod(os.FileMode(request.Mode))
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(file.Name(), request.Path)
	}
	if err != nil {
		_ = os.Remove(file.Name())
		return fmt.Errorf("put %s: %w", request.Path, err)
	}
	return writeFrame(conn, kindComplete, nil)
}

func copyFrames(w io.Writer, conn net.Conn) error {
	buffer := make([]byte, maxFrame)
	for {
		k, payload, err := readFrame(conn, buffer)
		if err != nil {
			return err
		}
		if k != kindData {
			return fmt.Errorf("unexpected frame of kind %q", string(k))
		}
		if len(payload) == 0 {
			return nil
		}
		if _, err := w.Write(payload); err != nil {
			return err
		}
	}
}

func sendFile(conn net.Conn, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("get: %w", err)
	}
	defer file.Close()
	if err := sendFrames(conn, file); err != nil {
		return fmt.Errorf("get %s: %w", path, err)
	}
	return nil
}

// sendFrames sends all of r as data frames and the empty one that ends them.
func sendFrames(conn net.Conn, r io.Reader) error {
	buffer := make([]byte, maxFrame)
	for {
		n, err := r.Read(buffer)
		if n > 0 {
			if err := writeFrame(conn, kindData, buffer[:n]); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return writeFrame(conn, kindData, nil)
		}
		if err != nil {
			return err
		}
	}
}

// relay turns the connection into one to an address that the host can reach.
func relay(conn net.Conn, request Request) error {
	target, err := net.DialTimeout(request.Network, request.Address, 30*time.Second)
	if err != nil {
		return fmt.Errorf("agent: %w", err)
	}
	defer target.Close()
	if err := writeJSON(conn, kindStarted, started{}); err != nil {
		return nil
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(target, conn)
		closeWrite(target)
	}()
	_, _ = io.Copy(conn, target)
	closeWrite(conn)
	<-done
	return nil
}

func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
		return
	}
	_ = conn.Close()
}
