package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/truepacs/balancer/dataplane/testutil/printed"
	"github.com/truepacs/balancer/e2e/peers"
	"github.com/truepacs/balancer/e2e/suite"
)

// Clients beside slow ones are unaffected if none of their requests fails and 99 of 100 are answered within this time.
const soon = time.Second

// patients are how many clients there are beside the slow ones. Each asks every 20 ms, and connects anew for every tenth request.
const patients = 8

// slowModes are what slowhttptest does; each connection is fed or read once a second. A share of them is opened each second:
// those that do not read get answers first that fill all buffers on their way.
var slowModes = []struct {
	name  string
	share uint64
	args  []string
}{
	{"headers that do not end", 1, []string{"-H", "-u", "http://" + vip + "/", "-i", "1"}},
	{"content that does not end", 1, []string{"-B", "-u", "http://" + vip + "/upload", "-i", "1", "-s", "65536", "-x", "8"}},
	{"answers that are not read", 10, []string{"-X", "-u", "http://" + vip + "/large", "-n", "1", "-z", "32", "-w", "512", "-y", "1024", "-k", "2"}},
}

// TestSlowClientsHoldNobodyUp has slowhttptest hold as many connections as it can while other clients ask.
// WEB_SLOW_CONNECTIONS and WEB_SLOW_SECONDS are how many and for how long.
func TestSlowClientsHoldNobodyUp(t *testing.T) {
	connections, err := suite.Number("WEB_SLOW_CONNECTIONS", 200)
	suite.Must(t, err)
	seconds, err := suite.Number("WEB_SLOW_SECONDS", 4)
	suite.Must(t, err)
	in := newHost(t)
	large := make([]byte, 256<<10)
	servers := serve(t, in, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/upload":
			_, _ = io.Copy(io.Discard, r.Body)
		case "/large":
			_, _ = w.Write(large)
		default:
			_, _ = w.Write(large[:1024])
		}
	})
	p := peers.Start(t, in, peers.TruePACS, front(web("web", 80, servers)))
	alone := askFor(t, p, 2*time.Second)
	t.Logf("without slow clients: %s", alone)
	for _, mode := range slowModes {
		t.Run(mode.name, func(t *testing.T) {
			args := slices.Concat(mode.args, []string{"-c", fmt.Sprint(connections), "-r", fmt.Sprint(max(200, connections/mode.share)), "-l", fmt.Sprint(seconds), "-p", "2"})
			beside, held := attack(t, in, p, args, time.Duration(seconds)*time.Second)
			if beside.percentile(99) > soon && beside.waited > starved {
				t.Logf("other clients: %s, while processes waited for a processor %.0f %% of the time: once more", beside, 100*beside.waited)
				beside, held = attack(t, in, p, args, time.Duration(seconds)*time.Second)
			}
			if held < int(connections)*9/10 {
				t.Errorf("slowhttptest held %d connections at most", held)
			}
			if beside.failed > 0 || beside.percentile(99) > soon {
				t.Errorf("other clients: %s, the first failure: %v (processor short %.0f %% of the time)", beside, beside.first, 100*beside.waited)
			}
			suite.Verdict(t, "%s on %d connections for %d s; other clients: %s (alone p99 %s; at most %s and no failure; processor short %.0f %%); the proxy took at most %d MiB",
				mode.name, held, seconds, beside, alone.percentile(99).Round(100*time.Microsecond), soon, 100*beside.waited, proxyPeak(t, p)>>20)
		})
	}
}

// attack has slowhttptest hold connections and returns what other clients saw meanwhile, and how many it held.
func attack(t *testing.T, in peers.Host, p *peers.Peer, args []string, long time.Duration) (beside *experience, held int) {
	t.Helper()
	cmd := exec.Command("sh", append([]string{"-c", `ulimit -n 20000; exec slowhttptest "$@"`, "sh"}, args...)...)
	var out printed.Text
	cmd.Stdout, cmd.Stderr = &out, &out
	began := peers.Launch(t, in, cmd)
	beside = askFor(t, p, long)
	if err := began.Wait(); err != nil {
		t.Logf("slowhttptest ended with %v", err)
	}
	held, served := heldBy(out.String())
	if held == 0 || !served {
		t.Errorf("slowhttptest held %d connections, its own probes were answered: %v; it printed:\n%s", held, served, out.String())
	}
	return beside, held
}

// starved is the share of the time in which a process of the machine waited for a processor, from which on the machine and
// not the front is what was measured.
const starved = 0.5

// pressure is for how long a process of this machine has waited for a processor since it runs
// (Documentation/accounting/psi.rst of the kernel).
func pressure(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile("/proc/pressure/cpu")
	suite.Must(t, err)
	_, total, _ := strings.Cut(strings.SplitN(string(text), "\n", 2)[0], "total=")
	us, err := strconv.ParseInt(total, 10, 64)
	suite.Must(t, err)
	return time.Duration(us) * time.Microsecond
}

var (
	connected   = regexp.MustCompile(`connected: *([0-9]+)`)
	unavailable = regexp.MustCompile(`service available: *NO`)
	escapes     = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)
)

// heldBy reads how many connections slowhttptest held at a time, and whether its own probes were answered all the time.
func heldBy(text string) (most int, served bool) {
	text = escapes.ReplaceAllString(text, "")
	for _, m := range connected.FindAllStringSubmatch(text, -1) {
		n, _ := strconv.Atoi(m[1])
		most = max(most, n)
	}
	return most, !unavailable.MatchString(text)
}

// experience is what clients saw.
type experience struct {
	took   []time.Duration
	failed int
	first  error
	// waited is the share of the time in which a process of this machine waited for a processor.
	waited float64
}

func (e *experience) percentile(n int) time.Duration {
	if len(e.took) == 0 {
		return 0
	}
	return e.took[min(len(e.took)-1, len(e.took)*n/100)]
}

func (e *experience) String() string {
	if len(e.took) == 0 {
		return "none was answered"
	}
	return fmt.Sprintf("%d requests, %d failed, p50 %s, p99 %s, longest %s", len(e.took)+e.failed, e.failed,
		e.percentile(50).Round(100*time.Microsecond), e.percentile(99).Round(100*time.Microsecond), e.took[len(e.took)-1].Round(100*time.Microsecond))
}

// askFor has clients ask for a time.
func askFor(t *testing.T, p *peers.Peer, long time.Duration) *experience {
	t.Helper()
	began, pressed := time.Now(), pressure(t)
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var all sync.WaitGroup
	var mu sync.Mutex
	var e experience
	for range patients {
		all.Go(func() {
			took, failed, first := patient(ctx, p)
			mu.Lock()
			defer mu.Unlock()
			e.took, e.failed, e.first = append(e.took, took...), e.failed+failed, errors.Join(e.first, first)
		})
	}
	all.Wait()
	slices.Sort(e.took)
	e.waited = (pressure(t) - pressed).Seconds() / time.Since(began).Seconds()
	if len(e.took) == 0 {
		t.Error("no request was answered")
	}
	return &e
}

// patient is one client. A request that is on its way when the time is over is waited for.
func patient(ctx context.Context, p *peers.Peer) (took []time.Duration, failed int, first error) {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return p.Dial(context.WithoutCancel(ctx), "web")
	}}
	defer transport.CloseIdleConnections()
	c := &http.Client{Transport: transport, Timeout: patience}
	for n := 1; ctx.Err() == nil; n++ {
		if n%10 == 0 {
			transport.CloseIdleConnections()
		}
		began := time.Now()
		err := askOnce(c, n)
		if err != nil {
			failed++
			if first == nil {
				first = err
			}
		} else {
			took = append(took, time.Since(began))
		}
		time.Sleep(20 * time.Millisecond)
	}
	return took, failed, first
}

// askOnce makes one request: every other one has content.
func askOnce(c *http.Client, n int) error {
	method, body := http.MethodGet, io.Reader(http.NoBody)
	if n%2 == 0 {
		method, body = http.MethodPost, strings.NewReader("hello")
	}
	request, err := http.NewRequest(method, "http://"+host+"/", body)
	if err != nil {
		return err
	}
	response, err := c.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || len(got) != 1024) {
		err = fmt.Errorf("%s with %d bytes", response.Status, len(got))
	}
	return err
}
