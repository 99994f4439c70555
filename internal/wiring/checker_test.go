package wiring

import (
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/truepacs/balancer/dataplane/health/direct"
	"github.com/truepacs/balancer/dataplane/model"
)

func programTarget(name string) model.Target {
	return model.Target{Key: name, Address: netip.MustParseAddr("192.0.2.11"), Checks: []model.Check{{
		Type: model.CheckExternal, Port: 104, Period: time.Second, FastPeriod: time.Second, Timeout: time.Second,
		Rise: 1, Fall: 1, External: &model.ExternalCheck{Name: name},
	}}}
}

// verdict waits for what a program's check says first.
func verdict(t *testing.T, c *checker, key string) model.Verdict {
	t.Helper()
	for range 500 {
		if v := c.Verdicts()[key]; v.Known || v.Reason != "NotYetChecked" {
			return v
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("no verdict on %s", key)
	return model.Verdict{}
}

// TestProgramsNeedADirectory: programs run out of the directory that the administrator named, and
// none does without one.
func TestProgramsNeedADirectory(t *testing.T) {
	dir := t.TempDir()
	for name, body := range map[string]string{"good": "#!/bin/sh\nexit 0\n", "bad": "#!/bin/sh\nexit 1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cases := map[string]struct {
		dir, program string
		healthy      bool
		reason       string
	}{
		"passes":        {dir, "good", true, ""},
		"fails":         {dir, "bad", false, "ProgramFailed"},
		"is not there":  {dir, "absent", false, "LocalFault"},
		"switched off":  {"", "good", false, "InvalidCheck"},
		"off is honest": {"", "bad", false, "InvalidCheck"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c, err := newChecker(Options{Log: logr.Discard(), ChecksDir: tc.dir}, func() {})
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			c.Set([]model.Target{programTarget(tc.program)}, nil)
			if v := verdict(t, c, tc.program); v.Healthy != tc.healthy || v.Reason != tc.reason {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestPathsOfTargets(t *testing.T) {
	server, vip := netip.MustParseAddr("192.0.2.11"), netip.MustParseAddr("192.0.2.100")
	all := []model.Target{{Address: server, Checks: []model.Check{
		{Type: model.CheckTCP}, {Type: model.CheckTCP, Via: model.ViaVirtualIP, VirtualIP: vip},
	}}}
	if diff := cmp.Diff([]direct.Path{{VIP: vip, Server: server}}, paths(all), cmp.Comparer(func(a, b netip.Addr) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}
