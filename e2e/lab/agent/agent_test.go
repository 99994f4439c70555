package agent

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// pair returns a client of a server in this process. The server waits for all
// children of the process, so the package's tests start none by other means.
func pair(t *testing.T) *Client {
	t.Helper()
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	server := NewServer()
	go func() { _ = server.Serve(listener) }()
	return NewClient(func(ctx context.Context) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp4", listener.Addr().String())
	})
}

func TestAgent(t *testing.T) {
	client := pair(t)
	if err := client.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Run("relay", func(t *testing.T) { checkRelay(t, client) })
	t.Run("output is whole", func(t *testing.T) { checkOutput(t, client) })
	t.Run("refusals", func(t *testing.T) { checkRefusals(t, client) })
	t.Run("put replaces", func(t *testing.T) { checkPut(t, client) })
}

func checkRelay(t *testing.T, client *Client) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		content, _ := io.ReadAll(conn)
		_, _ = conn.Write(bytes.ToUpper(content))
		_ = conn.Close()
	}()
	conn, err := client.Dial(t.Context(), "tcp4", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "hello")
	_ = conn.(*net.TCPConn).CloseWrite()
	if got, err := io.ReadAll(conn); err != nil || string(got) != "HELLO" {
		t.Errorf("relayed %q, %v", got, err)
	}
}

func checkOutput(t *testing.T, client *Client) {
	var output bytes.Buffer
	input := strings.Repeat("0123456789abcdef", 1<<17) // 2 MiB
	p, err := client.Start(t.Context(), Spec{Argv: []string{"cat"}, Stdin: strings.NewReader(input), Stdout: &output})
	if err != nil {
		t.Fatal(err)
	}
	exit, err := p.Wait()
	if err != nil || exit.Code != 0 {
		t.Fatalf("%+v, %v", exit, err)
	}
	if output.String() != input {
		t.Errorf("%d bytes came back of %d", output.Len(), len(input))
	}
	if err := p.Signal(15); err != nil {
		t.Errorf("signal to a command that has ended: %v", err)
	}
}

func checkRefusals(t *testing.T, client *Client) {
	ctx := t.Context()
	_, start := client.Start(ctx, Spec{Argv: []string{"/no/such/program"}})
	_, empty := client.Start(ctx, Spec{})
	_, get := client.Get(ctx, "/no/such/file")
	_, dial := client.Dial(ctx, "tcp4", "127.0.0.1:1")
	put := client.Put(ctx, "/proc/no/such/folder", strings.NewReader("x"), 0o600)
	for name, err := range map[string]error{"start": start, "empty": empty, "get": get, "dial": dial, "put": put} {
		if !errors.Is(err, ErrRefused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := client.Ping(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("ping with an ended context: %v", err)
	}
}

func checkPut(t *testing.T, client *Client) {
	path := t.TempDir() + "/a/b"
	for _, content := range []string{"first", "", "third"} {
		if err := client.Put(t.Context(), path, strings.NewReader(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := client.Get(t.Context(), path); err != nil || string(got) != content {
			t.Errorf("got %q, %v, want %q", got, err, content)
		}
	}
}

// TestStrangers sends what no client sends; the server must close and go on.
func TestStrangers(t *testing.T) {
	client := pair(t)
	for _, garbage := range []string{"GET / HTTP/1.1\r\n\r\n", "R\xff\xff\xff\xff", "R\x00\x00\x00\x02{}", "X\x00\x00\x00\x00"} {
		conn, err := client.dial(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, garbage)
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.ReadAll(conn); errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%q keeps the connection open", garbage)
		}
		_ = conn.Close()
	}
	if err := client.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

func FuzzReadFrame(f *testing.F) {
	var valid bytes.Buffer
	_ = writeFrame(&valid, kindData, []byte("payload"))
	f.Add(valid.Bytes())
	f.Add([]byte("D\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		k, payload, err := readFrame(bytes.NewReader(data), nil)
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeFrame(&again, k, payload); err != nil || !bytes.HasPrefix(data, again.Bytes()) {
			t.Errorf("frame %q %q of %q", k, payload, data)
		}
	})
}
