package service

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/cluster"
	"github.com/truepacs/balancer/e2e/paths"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

const unit = "truepacs.service"

// world is a site whose director is a Debian host.
type world struct{ *paths.World }

// TestServiceOfAPlainHost follows the guide, restarts, kills and stops the service under traffic
// on both paths, and takes the power away: the service comes back by itself.
func TestServiceOfAPlainHost(t *testing.T) {
	w := newWorld(t)
	load := paths.Load{Connections: 50, Bytes: 100 << 20, Rate: 2 << 20, Seed: 3}
	traffic := w.Start(t, load)
	for _, fault := range []struct{ name, command string }{
		{"systemctl restart", "systemctl restart " + unit},
		{"kill -9 of the agent", "kill -9 $(systemctl show -P MainPID " + unit + ")"},
		{"systemctl stop and start", "systemctl stop " + unit + " && sleep 3 && systemctl start " + unit},
	} {
		before := w.mainPID(t)
		w.onDirector(t, fault.command)
		w.AwaitWorking(t)
		if now := w.mainPID(t); now == before || now == "0" {
			t.Errorf("%s: the process was %s and is %s", fault.name, before, now)
		}
		traffic.Whole(t, fault.name)
	}
	traffic.Finish(t.Context(), t)
	w.powerFailure(t)
	suite.Verdict(t, "3 faults under %d connections and %d MiB on each path (seed %d), none cut; the service came back after a power failure",
		load.Connections, load.Bytes>>20, load.Seed)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	disk, err := cluster.NodeImage(t.Context())
	suite.Must(t, err)
	w := &world{paths.NewWorldWith(t, site.Options{DirectorDisk: disk})}
	t.Cleanup(func() {
		if t.Failed() {
			w.explain(t)
		}
	})
	text, err := os.ReadFile("../../../config/systemd/" + unit)
	suite.Must(t, err)
	suite.Must(t, w.Director.Put(t.Context(), "/etc/systemd/system/"+unit, strings.NewReader(string(text)), 0o644))
	suite.Must(t, w.PutManifest(t.Context(), "flows.yaml", paths.Balancer("lb1")))
	for _, server := range w.Site.Servers {
		suite.Must(t, w.StartAgent(t.Context(), server.Host))
	}
	w.onDirector(t, "systemctl daemon-reload && systemctl enable --now "+unit+" && sync")
	w.AwaitWorking(t)
	return w
}

// explain prints what helps to understand a failure.
func (w *world) explain(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	for _, command := range []string{
		"journalctl -b --no-pager -n 60 -u " + unit, "truepacs status", "ipvsadm -Ln", "nft list ruleset", "ip -4 address", "pgrep -af truepacs",
	} {
		out, err := w.Director.Run(ctx, "sh", "-c", command)
		t.Logf("%s: %v\n%s%s", command, err, out.Stdout, out.Stderr)
	}
}

func (w *world) onDirector(t *testing.T, command string) string {
	t.Helper()
	out, err := w.MustRun(t.Context(), w.Director, "sh", "-c", command)
	suite.Must(t, err)
	return strings.TrimSpace(out)
}

func (w *world) mainPID(t *testing.T) string {
	t.Helper()
	return w.onDirector(t, "systemctl show -P MainPID "+unit)
}

// powerFailure takes the director's power away; nobody starts anything after it is back.
func (w *world) powerFailure(t *testing.T) {
	t.Helper()
	suite.Must(t, w.Director.PowerOff())
	suite.Must(t, w.Director.PowerOn(t.Context()))
	began := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for _, path := range paths.Both() {
		suite.Must(t, site.Until(ctx, path.String()+" works again", func() error {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			return w.Try(ctx, path)
		}))
		t.Logf("%s works %s after the machine answered", path, time.Since(began).Round(time.Second))
	}
}
