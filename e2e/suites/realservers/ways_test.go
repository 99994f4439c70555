package realservers

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/truepacs/balancer/e2e/lab/pcap"
	"github.com/truepacs/balancer/e2e/site"
	"github.com/truepacs/balancer/e2e/suite"
)

// wantRedirectSeen: realserver-check is quiet about a redirecting server, and says when it does not
// redirect any more.
func (w *world) wantRedirectSeen(t *testing.T) {
	t.Helper()
	const check = "--method redirect -f " + copyOfManifest
	if got, _ := findings(t, w.server, check); len(got) > 0 {
		t.Errorf("redirect: %v", got)
	}
	mustRun(t, w.server, "systemctl stop truepacs-realserver.timer truepacs-realserver.service; nft delete table ip truepacs_realserver")
	if got, _ := findings(t, w.server, check); !slices.Equal(got, []string{"VIPNotRedirected"}) {
		t.Errorf("without its rules: %v", got)
	}
	mustRun(t, w.server, "truepacs-realserver --apply")
}

// byAgent prepares the server as the guide for plain hosts says: with the shipped unit. Uninstall gives
// everything back.
func (w *world) byAgent(t *testing.T, before string) {
	t.Helper()
	w.startAgent(t)
	w.afterPowerFailure(t, "agent")
	mustRun(t, w.server, "truepacs uninstall && systemctl disable --now truepacs && rm -r /etc/systemd/system/truepacs.service /etc/truepacs /var/lib/truepacs && systemctl daemon-reload")
	w.wantState(t, before, "agent")
}

func (w *world) startAgent(t *testing.T) {
	t.Helper()
	unit, err := os.ReadFile("../../../config/systemd/truepacs.service")
	suite.Must(t, err)
	suite.Must(t, w.server.Put(t.Context(), "/etc/systemd/system/truepacs.service", strings.NewReader(string(unit)), 0o644))
	suite.Must(t, w.server.Put(t.Context(), manifestFile, strings.NewReader(manifest), 0o600))
	mustRun(t, w.server, "systemctl daemon-reload && systemctl enable --now truepacs && sync")
	w.awaitService(t, "agent")
	if got, _ := findings(t, w.server, ""); len(got) > 0 {
		t.Errorf("realserver-check on a server with an agent: %v", got)
	}
}

// forward has the director forward as ipvsadm calls it: Route or Tunnel.
func (w *world) forward(t *testing.T, way string) {
	t.Helper()
	text := manifest
	if way == "Tunnel" {
		text = strings.ReplaceAll(manifest, "mode: L4DR", "mode: L4Tunnel")
	}
	suite.Must(t, w.director.Put(t.Context(), manifestFile, strings.NewReader(text), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	suite.Must(t, site.Until(ctx, "the director forwards by "+way, func() error {
		out, err := run(ctx, w.director, "ipvsadm -Ln | grep -c ' "+way+" '")
		if err == nil && strings.TrimSpace(out) != "4" {
			err = fmt.Errorf("it does for %s of 4 servers", out)
		}
		return err
	}))
}

// wantClamped: what comes to the server is wrapped, and it offers segments that fit into the wrapping.
func (w *world) wantClamped(t *testing.T) {
	t.Helper()
	capture, err := w.server.Capture(t.Context(), "eth0", "")
	suite.Must(t, err)
	suite.Must(t, w.wantService(t.Context()))
	frames, err := capture.Frames()
	suite.Must(t, err)
	const syn, ack, ipip, ipv6InIPv6 = 2, 16, 4, 41
	wrapped, offered := map[uint8]int{}, map[string]uint16{}
	for _, f := range frames {
		switch {
		case f.Protocol == ipip || f.Protocol == ipv6InIPv6:
			wrapped[f.Protocol]++
		case f.TCPFlags == syn|ack && (f.Source.String() == vip4 || f.Source.String() == vip6):
			offered[f.Source.String()] = segmentOf(f)
		}
	}
	if wrapped[ipip] == 0 || wrapped[ipv6InIPv6] == 0 || offered[vip4] != 1440 || offered[vip6] != 1400 {
		t.Errorf("wrapped packets by protocol %v, segments offered %v, want 1440 and 1400 bytes", wrapped, offered)
	}
}

// segmentOf is the option Maximum Segment Size (RFC 9293 section 3.7.1), which Linux sends first.
func segmentOf(f pcap.Frame) uint16 {
	ip := 20
	if f.Source.Is6() {
		ip = 40
	}
	option := f.Data[14+ip+20:]
	if option[0] != 2 || option[1] != 4 {
		return 0
	}
	return binary.BigEndian.Uint16(option[2:])
}
