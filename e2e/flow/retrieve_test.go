package flow

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
)

func TestRetrievalsAreWhole(t *testing.T) {
	s, dial := startServer(t)
	got, err := Retrieve(t.Context(), dial, Retrieval{Requests: 3, RequestBytes: 10_486, ReplyBytes: 524_288, Seed: 9})
	if err != nil || got != 3*524_288 || s.Total() != 1 {
		t.Errorf("%d bytes on %d connections, %v", got, s.Total(), err)
	}
}

// spoiler is a connection of which one byte of one direction becomes another.
type spoiler struct {
	net.Conn
	read, write int // the byte's number, counted down; below 0: none
}

func spoil(b []byte, at *int) []byte {
	if *at >= 0 && *at < len(b) {
		b = append([]byte(nil), b...)
		b[*at]++
	}
	*at -= len(b)
	return b
}

func (s *spoiler) Read(b []byte) (int, error) {
	n, err := s.Conn.Read(b)
	copy(b, spoil(b[:n], &s.read))
	return n, err
}

func (s *spoiler) Write(b []byte) (int, error) { return s.Conn.Write(spoil(b, &s.write)) }

func TestSpoiltRetrievalsAreNoticed(t *testing.T) {
	for name, tc := range map[string]struct {
		read, write int
		want        string
	}{
		"answer":          {read: 70_000, write: -1, want: "the answer has other bytes"},
		"request":         {read: -1, write: 500, want: "the server got other bytes"},
		"second request":  {read: -1, write: 1500, want: "request 2 of 2: the server got other bytes"},
		"hash of request": {read: 99_990, write: -1, want: "the server got other bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			_, dial := startServer(t)
			spoilt := func(ctx context.Context) (net.Conn, error) {
				c, err := dial(ctx)
				return &spoiler{c, tc.read, tc.write}, err
			}
			_, err := Retrieve(t.Context(), spoilt, Retrieval{Requests: 2, RequestBytes: 1000, ReplyBytes: 100_000})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestCutRetrievalIsNoticed(t *testing.T) {
	dial := func(context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			_, _ = io.CopyN(io.Discard, server, 1001) // the command and the request
			_ = server.Close()
		}()
		return client, nil
	}
	if got, err := Retrieve(t.Context(), dial, Retrieval{Requests: 1, RequestBytes: 1000, ReplyBytes: 1000}); err == nil {
		t.Errorf("%d bytes of a server that sends nothing of its own", got)
	}
	if _, err := Retrieve(t.Context(), dial, Retrieval{Requests: 1, RequestBytes: 31, ReplyBytes: 1000}); err == nil {
		t.Error("a request without room for its head is made")
	}
}
