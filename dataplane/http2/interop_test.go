package http2_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

	xhttp2 "golang.org/x/net/http2"

	"github.com/truepacs/balancer/dataplane/http2"
)

// client returns the client of golang.org/x/net, connected to a server of ours.
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
	transport := &xhttp2.Transport{
		AllowHTTP: true,
		DialTLSContext: func(ctx context.Context, _, _ string, _ *tls.Config) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr().String())
		},
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		l.Close()
		wait.Wait()
	})
	return &http.Client{Transport: transport}
}

func TestClientOfGo(t *testing.T) {
	c := client(t, http2.Config{})
	for _, size := range []int{0, 1, 16384, 16385, 300_000} {
		content := bytes.Repeat([]byte{7}, size)
		res, err := c.Post("http://pacs.example.org/0", "application/dicom", io.MultiReader(bytes.NewReader(content)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(res.Body)
		if err != nil || !bytes.Equal(got, content) || res.Trailer.Get("X-Sum") != "1" {
			t.Errorf("%d bytes: got %d back, %v, trailers %v", size, len(got), err, res.Trailer)
		}
		res.Body.Close()
		if res, err = c.Get("http://pacs.example.org/" + strings.Repeat("0", 3) + "70000"); err != nil {
			t.Fatal(err)
		}
		if got, err = io.ReadAll(res.Body); err != nil || len(got) != 70000 {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		res.Body.Close()
	}
}
