package prove_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/lab"
)

const virtualAddress = "192.0.2.100:443"

// TestProveListenersArePassed: the agent binds a privileged port on a virtual address and the proxy, without
// any capability, serves it; a restart of the proxy refuses no client.
func TestProveListenersArePassed(t *testing.T) {
	b := newBench(t, "sockets")
	t.Cleanup(func() { b.onNode("ip addr del 192.0.2.100/32 dev eth0; rm -rf /run/truepacs-probe") })
	share := []string{"/share=/run/truepacs-probe=DirectoryOrCreate"}
	keeper := daemon{name: "agent", context: agentContext, mounts: share, args: []string{"keep", `"` + virtualAddress + `"`, "eth0", "/share/l7.sock", `"0755"`, `"0"`}}
	b.apply(b.manifest(keeper)+b.manifest(daemon{name: "proxy", context: proxyContext, mounts: share, args: []string{"idle"}}), "agent", "proxy")
	b.must("agent", "identity")
	b.must("proxy", "identity")
	b.verdict("c1: kubelet made the directory: %s", b.onNode("stat -c '%U:%G %a' /run/truepacs-probe"))
	b.verdict("c2: socket root:root 0755, as bind makes it: %s", b.mustNot("proxy", "fetch", "/share/l7.sock"))
	b.verdict("c3: the proxy as the listener in that directory: %s", b.mustNot("proxy", "socket", "/share/proxy.sock"))

	stranger := daemon{name: "stranger", context: agentContext, mounts: share, args: []string{"keep", `"192.0.2.100:8443"`, "eth0", "/share/stranger.sock", `"0660"`, `"65532"`}}
	b.verdict("c4: uid 0 without CAP_CHOWN gives its socket to group 65532: %s", lastWords(b, stranger))
	b.kubectl("delete", "daemonset", "agent", "--cascade=foreground")
	keeper.args[4], keeper.args[5] = `"0660"`, `"65532"`
	keeper.pod = "      securityContext: {supplementalGroups: [65532]}"
	b.apply(b.manifest(keeper), "agent")
	b.wait("the socket", func() bool {
		return strings.Contains(b.onNode("stat -c %g:%a /run/truepacs-probe/l7.sock || true"), "65532:660")
	})
	b.verdict("c5: with supplementalGroups [65532] the socket is %s: %s", b.onNode("stat -c '%u:%g %a' /run/truepacs-probe/l7.sock"), b.must("proxy", "fetch", "/share/l7.sock"))
	proveRestart(b, share)
}

// lastWords starts a DaemonSet that is expected to fail, and returns what it said.
func lastWords(b *bench, d daemon) string {
	b.Helper()
	b.apply(b.manifest(d))
	said := ""
	b.wait("the container's last words", func() bool {
		said, _ = b.c.Kubectl(b.ctx, "-n", b.namespace, "logs", "daemonset/"+d.name)
		return strings.Contains(said, "REFUSED")
	})
	b.kubectl("delete", "daemonset", d.name, "--cascade=foreground")
	_, after, _ := strings.Cut(said, "REFUSED")
	return strings.TrimSpace("REFUSED" + after)
}

// proveRestart asks from outside the cluster without a pause while the proxy's container is ended and started.
func proveRestart(b *bench, share []string) {
	b.Helper()
	b.kubectl("delete", "daemonset", "proxy", "--cascade=foreground")
	b.apply(b.manifest(daemon{name: "proxy", context: proxyContext, mounts: share, args: []string{"serve", "/share/l7.sock", "proxy"}}), "proxy")
	client, err := b.c.Lab.Namespace("client", lab.NIC{Network: b.c.LAN, Addresses: lab.Prefixes("192.0.2.50/24")})
	if err != nil {
		b.Fatal(err)
	}
	first, err := ask(b.ctx, client)
	if err != nil {
		b.Fatal(err)
	}
	b.verdict("c6: a client outside the cluster is answered by the pod without capabilities: %q", first)
	b.verdict("c7: a second process binds the same address: %s", b.mustNot("agent", "bind", virtualAddress))
	began := time.Now()
	b.onNode("pkill -TERM -f '^/probe serve'")
	answers := askSteadily(b, client, first)
	failed, waited, slowest := 0, 0, time.Duration(0)
	for _, a := range answers {
		if a.err != nil {
			failed++
			b.Logf("a connection failed (refused: %v): %v", errors.Is(a.err, syscall.ECONNREFUSED), a.err)
		}
		if a.took > 500*time.Millisecond {
			waited++
		}
		slowest = max(slowest, a.took)
	}
	b.verdict("c8: container ended and restarted by kubelet: %d connections opened meanwhile, one every 100 ms, %d failed, %d waited, the longest %s; over after %s",
		len(answers), failed, waited, slowest.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	if failed > 0 {
		b.Errorf("%d connections failed during the restart", failed)
	}
}

// answer is what came of one connection.
type answer struct {
	text string
	took time.Duration
	err  error
}

// askSteadily opens a connection every 100 ms until one is answered by another container than the first, and
// returns what came of all.
func askSteadily(b *bench, client *lab.Namespace, first string) []answer {
	b.Helper()
	results := make(chan answer, 10000)
	var all []answer
	open := 0
	for began := time.Now(); time.Since(began) < patience; time.Sleep(100 * time.Millisecond) {
		open++
		go func() {
			began := time.Now()
			text, err := ask(b.ctx, client)
			results <- answer{text: text, took: time.Since(began), err: err}
		}()
		select {
		case a := <-results:
			if all = append(all, a); a.err == nil && a.text != first {
				for len(all) < open {
					all = append(all, <-results)
				}
				return all
			}
		default:
		}
	}
	b.Fatalf("the proxy did not come back within %s", patience)
	return nil
}

// ask connects, and returns the server's line. A server that is away lets it wait in the accept queue.
func ask(ctx context.Context, client *lab.Namespace) (string, error) {
	conn, err := client.Dial(ctx, "tcp4", virtualAddress)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	text, err := io.ReadAll(conn)
	if err == nil && len(text) == 0 {
		err = errors.New("closed without an answer")
	}
	return string(text), err
}

// TestProveNonRootCannotBind: NET_BIND_SERVICE means nothing to a container that does not run as root.
func TestProveNonRootCannotBind(t *testing.T) {
	b := newBench(t, "bind")
	b.apply(b.manifest(daemon{name: "bound", context: boundContext, args: []string{"idle"}})+
		b.manifest(daemon{name: "agent", context: agentContext, args: []string{"idle"}}), "bound", "agent")
	who := b.must("bound", "identity")
	b.verdict("e: NET_BIND_SERVICE, uid 65532 (%s): %s; port 104: %s", who, b.mustNot("bound", "bind", virtualAddress), b.mustNot("bound", "bind", "0.0.0.0:104"))
	b.must("agent", "bind", virtualAddress)
	b.must("agent", "bind", "0.0.0.0:104")
}
