package flow

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// Port is where a Server listens.
const Port = 7007

// Commands that a client sends first on a connection.
const (
	cmdEcho     = 'E' // every byte is sent back
	cmdTransfer = 'T' // bytes until half-close, then their SHA-256 in hexadecimal is sent back
	cmdRetrieve = 'R' // requests, each answered before the next, see Retrieve
)

// Server is a TCP server that echoes, swallows or answers. Make it with Serve.
type Server struct {
	listener net.Listener
	wg       sync.WaitGroup

	mu     sync.Mutex
	closed bool
	total  int
	conns  map[net.Conn]bool
}

// Serve serves connections of l until Close.
func Serve(l net.Listener) *Server {
	s := &Server{listener: l, conns: map[net.Conn]bool{}}
	s.wg.Go(s.accept)
	return s
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		if !s.keep(c) {
			c.Close()
			return
		}
		s.wg.Go(func() { s.serve(c) })
	}
}

func (s *Server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = true
	return !s.closed
}

func (s *Server) serve(c net.Conn) {
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	var command [1]byte
	if _, err := io.ReadFull(c, command[:]); err != nil {
		return // a health check connects and says nothing
	}
	s.mu.Lock()
	s.total++
	s.mu.Unlock()
	switch command[0] {
	case cmdEcho:
		_, _ = io.Copy(c, c)
	case cmdTransfer:
		h := sha256.New()
		if _, err := io.Copy(h, c); err == nil {
			_, _ = io.WriteString(c, hex.EncodeToString(h.Sum(nil)))
		}
	case cmdRetrieve:
		serveRetrieval(c)
	}
}

// Total returns how many connections have sent a command.
func (s *Server) Total() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.total
}

// Close ends the server and cuts its connections.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.mu.Lock()
	s.closed = true
	for c := range s.conns {
		err = errors.Join(err, c.Close())
	}
	s.mu.Unlock()
	s.wg.Wait()
	if err != nil {
		return fmt.Errorf("close the test's server: %w", err)
	}
	return nil
}
