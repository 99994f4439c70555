package http2_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/truepacs/balancer/dataplane/http2"
)

// client returns Go's client, which speaks HTTP/2 only and is connected to a server of ours.
func client(t *testing.T, cfg http2.Config) *http.Client {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			wait.Go(func() { serve(conn, cfg, &answers{}) })
		}
	})
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		},
		Protocols: &http.Protocols{},
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		l.Close()
		wait.Wait()
	})
	return &http.Client{Transport: transport}
}

// TestClientOfGo sends content and gets it back, with a trailer, and fetches some of another size.
func TestClientOfGo(t *testing.T) {
	c := client(t, http2.Config{})
	for _, size := range []int{0, 1, 16384, 16385, 300_000} {
		if err := echo(c, size); err != nil {
			t.Errorf("%d bytes back and forth: %v", size, err)
		}
		if err := fetch(t.Context(), c, size); err != nil {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestManyRequestsOfGo are of all sizes, at the same time on one connection, some cancelled.
func TestManyRequestsOfGo(t *testing.T) {
	c := client(t, http2.Config{ConnWindow: 100_000, OutputLimit: 20_000})
	var wait sync.WaitGroup
	for i := range 64 {
		wait.Go(func() {
			if err := echo(c, i*3000); err != nil {
				t.Error(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			res, err := begin(ctx, c, 300_000)
			if err != nil {
				t.Error(err)
			} else {
				io.ReadFull(res.Body, make([]byte, i*100))
				cancel()
				res.Body.Close()
			}
			cancel()
			if err := fetch(t.Context(), c, i*3000); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
}

// echo posts content and holds it against what comes back.
func echo(c *http.Client, size int) error {
	content := bytes.Repeat([]byte{7, 8, 9}, size/3+1)[:size]
	res, err := c.Post("http://pacs.example.org/0", "application/dicom", io.MultiReader(bytes.NewReader(content)))
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err == nil && (!bytes.Equal(got, content) || res.Trailer.Get("X-Sum") != "1") {
		err = fmt.Errorf("sent %d bytes, got %d, trailers %v", size, len(got), res.Trailer)
	}
	return err
}

func begin(ctx context.Context, c *http.Client, size int) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://pacs.example.org/%d", size), nil)
	if err != nil {
		return nil, err
	}
	return c.Do(req)
}

func fetch(ctx context.Context, c *http.Client, size int) error {
	res, err := begin(ctx, c, size)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	for i, b := range got {
		if b != byte(i) {
			return fmt.Errorf("byte %d is %d", i, b)
		}
	}
	if err == nil && len(got) != size {
		err = fmt.Errorf("got %d bytes of %d", len(got), size)
	}
	return err
}
