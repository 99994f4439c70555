package web

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// most is how much memory the proxy may have had after all bodies.
const most = 64 << 20

// TestLargeBodiesPassInLittleMemory sends WEB_MEGABYTES up and as many down, each with length and chunked, in clear and
// in TLS, four bodies at a time. Hashes of both ends are compared.
func TestLargeBodiesPassInLittleMemory(t *testing.T) {
	t.Parallel()
	megabytes, err := suite.Number("WEB_MEGABYTES", 64)
	suite.Must(t, err)
	plan, err := plan().Read()
	suite.Must(t, err)
	in := newHost(t)
	a := newAuthority(t)
	ends := &ends{size: int64(megabytes) << 20, sums: map[string]string{}}
	servers := serve(t, in, ends.serve)
	p := peers.Start(t, in, peers.TruePACS, front(web("web", 80, servers), a.web("secure", 443, servers)))
	before := proxyPeak(t, p)
	for _, scheme := range []string{"http", "https"} {
		began := time.Now()
		c := a.client(t, p)
		var all sync.WaitGroup
		for i, way := range []string{"up/length", "up/chunked", "down/length", "down/chunked"} {
			id := fmt.Sprintf("%s/%s/%d", scheme, way, plan.Seed+uint64(i))
			all.Go(func() {
				if err := ends.pass(c, scheme, id); err != nil {
					t.Errorf("%s: %v", id, err)
				}
			})
		}
		all.Wait()
		took := time.Since(began)
		suite.Verdict(t, "%s: 4 bodies of %d MiB at once, up and down, with length and chunked, in %s (%.0f MiB/s): hashes are equal on both ends",
			scheme, megabytes, took.Round(time.Millisecond), float64(4*megabytes)/took.Seconds())
	}
	peak := proxyPeak(t, p)
	if peak >= most {
		t.Errorf("the proxy took up to %d KiB", peak>>10)
	}
	suite.Verdict(t, "8 bodies of %d MiB: the proxy took %.1f MiB at most (VmHWM; %.1f before), bound %d", megabytes, mib(peak), mib(before), most>>20)
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

// ends are client and server of bodies whose content depends on their name alone.
type ends struct {
	size int64
	mu   sync.Mutex
	sums map[string]string // what the server received or sent, by name
}

// content is the body of a name, and the hash of what was read of it.
func (e *ends) content(id string) (body io.Reader, sum hash.Hash) {
	n, _ := strconv.ParseUint(id[strings.LastIndexByte(id, '/')+1:], 10, 64)
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], n)
	sum = sha256.New()
	return io.TeeReader(io.LimitReader(rand.NewChaCha8(seed), e.size), sum), sum
}

func (e *ends) note(id string, sum hash.Hash) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.sums[id] = hex.EncodeToString(sum.Sum(nil))
}

// sum is the hash of the server, which may come to it after the client has all; "" if it does not.
func (e *ends) sum(id string) string {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		e.mu.Lock()
		sum := e.sums[id]
		e.mu.Unlock()
		if sum != "" {
			return sum
		}
	}
	return ""
}

// serve receives or sends the body that the path names.
func (e *ends) serve(w http.ResponseWriter, r *http.Request) {
	id := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case r.URL.Path == checkPath:
	case r.Method == http.MethodPut:
		if chunked := r.ContentLength < 0; chunked != strings.Contains(id, "chunked") {
			http.Error(w, "another framing than the client's", http.StatusTeapot)
			return
		}
		sum := sha256.New()
		n, err := io.Copy(sum, r.Body)
		if err != nil || n != e.size {
			http.Error(w, fmt.Sprintf("%d bytes came, then %v", n, err), http.StatusTeapot)
			return
		}
		e.note(id, sum)
	default:
		body, sum := e.content(id)
		if !strings.Contains(id, "chunked") {
			w.Header().Set("Content-Length", strconv.FormatInt(e.size, 10))
		}
		_, _ = io.Copy(w, body)
		e.note(id, sum)
	}
}

// pass sends a body up or gets one, and compares.
func (e *ends) pass(c *http.Client, scheme, id string) error {
	body, sum := e.content(id)
	request, err := http.NewRequest(http.MethodGet, scheme+"://"+host+"/"+id, nil)
	if err != nil {
		return err
	}
	up, chunked := strings.Contains(id, "/up/"), strings.Contains(id, "chunked")
	if up {
		request.Method, request.Body, request.ContentLength = http.MethodPut, io.NopCloser(body), e.size
		if chunked {
			request.ContentLength = -1
		}
	}
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if !up {
		if declared := response.ContentLength; chunked != (declared < 0) || !chunked && declared != e.size {
			return fmt.Errorf("the answer's length is %d", declared)
		}
		sum = sha256.New()
		if n, err := io.Copy(sum, response.Body); err != nil || n != e.size {
			return fmt.Errorf("%d bytes came, then %w", n, err)
		}
	}
	if said, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s, %w", response.Status, said, err)
	}
	if here, there := hex.EncodeToString(sum.Sum(nil)), e.sum(id); here != there {
		return fmt.Errorf("the client's hash is %s, the server's %s", here, there)
	}
	return nil
}

// client speaks to the listeners web and secure, and trusts the authority.
func (a authority) client(t *testing.T, p *peers.Peer) *http.Client {
	t.Helper()
	transport := &http.Transport{
		DisableCompression: true, TLSClientConfig: a.trusting(t),
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			name := "web"
			if strings.HasSuffix(address, ":443") {
				name = "secure"
			}
			return p.Dial(ctx, name)
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (a authority) trusting(t *testing.T) *tls.Config {
	t.Helper()
	text, err := os.ReadFile(a.ca)
	suite.Must(t, err)
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		t.Fatal("the authority's certificate cannot be read")
	}
	return &tls.Config{RootCAs: roots, ServerName: host}
}
