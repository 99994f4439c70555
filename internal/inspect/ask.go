package inspect

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/truepacs/balancer/dataplane/explain"
)

// ErrNotRunning says that nobody answers on this host.
var ErrNotRunning = errors.New("neither truepacs run nor an agent answers on this host: call this as root on a director, in a cluster within the agent's pod, and see whether it runs")

// Client asks the truepacs that acts on this host. Make it with NewClient and close it.
type Client struct{ http http.Client }

// NewClient returns a client of the socket in a folder.
func NewClient(runDir string) *Client {
	return &Client{http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", SocketPath(runDir))
		},
	}}}
}

// Close closes what is open.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// do returns the body of a good answer; the caller closes it.
func (c *Client) do(ctx context.Context, method, path string, body io.Reader) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://host"+path, body)
	if err != nil {
		return nil, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNotRunning, err)
	}
	if answer.StatusCode == http.StatusOK {
		return answer.Body, nil
	}
	defer answer.Body.Close()
	if answer.StatusCode == http.StatusNotFound || answer.StatusCode == http.StatusMethodNotAllowed {
		return nil, errors.New("the truepacs that runs on this host does not know this command: it is of an older version, restart it")
	}
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxQuestion))
	if err != nil {
		return nil, err
	}
	return nil, errors.New(strings.TrimSpace(string(text)))
}

// ask asks and decodes the answer.
func (c *Client) ask(ctx context.Context, method, path string, body io.Reader, answer any) error {
	in, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := json.NewDecoder(in).Decode(answer); err != nil {
		return fmt.Errorf("understand the answer: %w", err)
	}
	_, err = io.Copy(io.Discard, in) // so that the connection is used again
	return err
}

// Explain asks what a client would get.
func (c *Client) Explain(ctx context.Context, q explain.Question) (explain.Answer, error) {
	var a explain.Answer
	body, err := json.Marshal(q)
	if err != nil {
		return a, err
	}
	err = c.ask(ctx, http.MethodPost, "/explain", bytes.NewReader(body), &a)
	return a, err
}

// Stats asks for the figures.
func (c *Client) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	err := c.ask(ctx, http.MethodGet, "/stats", nil, &s)
	return s, err
}

// Connections asks who is connected and calls visit with each connection, one at a time, up to limit;
// 0: all. It returns how many the filter chose.
func (c *Client) Connections(ctx context.Context, f Filter, limit int, visit func(Connection) error) (chosen int, err error) {
	values := url.Values{"server": {f.Server}, "service": {f.Service}, "limit": {strconv.Itoa(limit)}}
	if f.Client.IsValid() {
		values.Set("client", f.Client.String())
	}
	in, err := c.do(ctx, http.MethodGet, "/connections?"+values.Encode(), nil)
	if err != nil {
		return 0, err
	}
	defer in.Close()
	for lines := json.NewDecoder(in); ; {
		var l line
		if err := lines.Decode(&l); err != nil {
			return 0, fmt.Errorf("the answer ends too early: %w", err)
		}
		switch {
		case l.End != nil && l.End.Error != "":
			return l.End.Chosen, errors.New(l.End.Error)
		case l.End != nil:
			return l.End.Chosen, nil
		case l.Connection == nil:
			return 0, errors.New("the answer has a line without a connection")
		}
		if err := visit(*l.Connection); err != nil {
			return 0, err
		}
	}
}
