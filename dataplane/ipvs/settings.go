package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/truepacs/balancer/dataplane/ipvs/genl"
	"github.com/truepacs/balancer/dataplane/model"
	"github.com/truepacs/balancer/dataplane/settings"
)

// SetSettings sets what the services of the last Set need of IPVS, and the idle timeouts of
// connections; those of 0 are left to the host. Times are rounded up to whole seconds. Both belong to
// the whole host, services of others too. What is not needed any more is given back if it was changed
// here and is still as it was set, except while there are services of others, or nobody knows: they
// may need it by now. Without services nothing is set. Only what differs is written; settings that fail
// do not stop the others.
func (d *Driver) SetSettings(ctx context.Context, timeouts model.IPVSTimeouts) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var w settings.Wish
	var missing error
	if len(d.wishes) > 0 {
		w.Settings, missing = d.neededSysctls(ctx)
		w.Settings = append(w.Settings, timeoutSettings(timeouts)...)
	}
	held, err := d.keeper.Held(w)
	if err != nil {
		return errors.Join(missing, err)
	}
	w.Keep = held > 0 && !d.alone(ctx)
	d.tellHeld(w.Keep, held)
	d.host.forget()
	return errors.Join(missing, d.keeper.Set(ctx, w))
}

// alone tells whether nobody else has services. The list that netlink gave may lack some, so the table
// is asked, too.
func (d *Driver) alone(ctx context.Context) bool {
	if !d.memory.alone || !d.config.Kernel.Loaded() {
		return d.memory.alone
	}
	quiet, err := d.readTable(ctx)
	if err != nil {
		d.memory.forget()
	}
	d.settled = d.settled && quiet && err == nil
	return d.memory.alone
}

// tellHeld says once that settings are not given back for the sake of others.
func (d *Driver) tellHeld(keep bool, held int) {
	if !keep {
		held = 0
	}
	if held > 0 && d.held == 0 {
		d.config.Log.Info("settings of IPVS are not given back as long as other programs have services in it", "settings", held)
	}
	d.held = held
}

// Held tells how many settings the last SetSettings has not given back for the sake of others, who have
// services in IPVS.
func (d *Driver) Held() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.held
}

// Names of timeouts as settings; those of net.ipv4.vs have no slash.
const (
	timeoutTCP    = "timeout/tcp"
	timeoutTCPFin = "timeout/tcpfin"
	timeoutUDP    = "timeout/udp"
)

func timeoutSettings(t model.IPVSTimeouts) []settings.Setting {
	var all []settings.Setting
	for _, wanted := range []struct {
		name string
		idle time.Duration
	}{{timeoutTCP, t.TCP}, {timeoutTCPFin, t.TCPFin}, {timeoutUDP, t.UDP}} {
		if wanted.idle > 0 {
			all = append(all, settings.Setting{Name: wanted.name, Value: seconds(wanted.idle)})
		}
	}
	return all
}

// seconds is a time in whole seconds, rounded up.
func seconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// host has the settings of IPVS: sysctls are files, timeouts are asked for by netlink.
type host struct {
	files    settings.Files
	kernel   Kernel
	timeouts *genl.Timeouts // as last read
}

var _ settings.Host = (*host)(nil)

func (h *host) forget() { h.timeouts = nil }

// field is the timeout of a name; nil: the name is that of a sysctl.
func field(t *genl.Timeouts, name string) *time.Duration {
	return map[string]*time.Duration{timeoutTCP: &t.TCP, timeoutTCPFin: &t.TCPFin, timeoutUDP: &t.UDP}[name]
}

// Read implements settings.Host. It does not make the kernel load IPVS.
func (h *host) Read(ctx context.Context, name string) (string, error) {
	if field(&genl.Timeouts{}, name) == nil {
		return h.files.Read(ctx, name)
	}
	if h.timeouts == nil {
		if !h.kernel.Loaded() {
			return "", fs.ErrNotExist
		}
		t, err := h.kernel.Timeouts(ctx)
		if err != nil {
			return "", err
		}
		h.timeouts = &t
	}
	return seconds(*field(h.timeouts, name)), nil
}

// Write implements settings.Host.
func (h *host) Write(ctx context.Context, s settings.Setting) error {
	var t genl.Timeouts
	timeout := field(&t, s.Name)
	if timeout == nil {
		return h.files.Write(ctx, s)
	}
	n, err := strconv.ParseInt(s.Value, 10, 32)
	if err != nil {
		return err
	}
	*timeout = time.Duration(n) * time.Second
	h.forget()
	return h.kernel.SetTimeouts(ctx, t)
}

func explainSetting(s settings.Setting, err error) error {
	if which, isTimeout := strings.CutPrefix(s.Name, "timeout/"); isTimeout {
		_, err = explain(err)
		return fmt.Errorf("ipvs: timeout of %s: %w", which, err)
	}
	return fmt.Errorf("ipvs: net.ipv4.vs.%s: %w", s.Name, sysctlError(err))
}
