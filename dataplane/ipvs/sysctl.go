package ipvs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// DefaultSysctlDir is where the kernel shows the settings of IPVS.
const DefaultSysctlDir = "/proc/sys/net/ipv4/vs"

// Setting is a setting of IPVS (Documentation/networking/ipvs-sysctl.rst of the kernel) that was
// changed.
type Setting struct {
	// Name is the setting's name below net.ipv4.vs, Old the value it had and New the one it got.
	Name, Old, New string
}

// setting is one that we need; better returns the value to set for the one that is there.
type setting struct {
	name   string
	better func(int) int
}

// settings are all that we touch.
//
// A server that takes no new connections must lose its persistent clients too, else they come
// back to it for as long as they are remembered.
//
// With direct routing the director never sees a connection end from the server's side, so a
// connection that reuses a client's port meets the old one in FIN_WAIT: bit 2 lets such a one be
// scheduled anew, bit 1 all others. 0 would give new connections to servers that are drained.
func settings() []setting {
	return []setting{
		{"expire_quiescent_template", func(int) int { return 1 }},
		{"conn_reuse_mode", func(now int) int { return now | 3 }},
	}
}

// SetSysctls sets what IPVS needs for draining and reuse of ports to work, and returns what it
// changed, so that the caller can remember and some day restore it. It writes only what
// differs. Settings that fail do not stop the others. They belong to the whole host.
func (d *Driver) SetSysctls(ctx context.Context) ([]Setting, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	var changed []Setting
	var errs []error
	for _, s := range settings() {
		err := ctx.Err()
		var change *Setting
		if err == nil {
			change, err = d.setSysctl(s)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("ipvs: net.ipv4.vs.%s: %w", s.name, err))
		}
		if change != nil {
			changed = append(changed, *change)
		}
	}
	return changed, errors.Join(errs...)
}

func (d *Driver) setSysctl(s setting) (*Setting, error) {
	path := filepath.Join(d.config.SysctlDir, s.name)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, sysctlError(err)
	}
	old := strings.TrimSpace(string(b))
	now, err := strconv.Atoi(old)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	want := s.better(now)
	if want == now {
		return nil, nil
	}
	if err := write(path, strconv.Itoa(want)); err != nil {
		return nil, sysctlError(err)
	}
	return &Setting{Name: s.name, Old: old, New: strconv.Itoa(want)}, nil
}

// write does not create the file: a folder that is not the kernel's would hide a mistake.
func write(path, value string) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = file.WriteString(value)
	return errors.Join(err, file.Close())
}

func sysctlError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: load IPVS with `modprobe ip_vs`; in a container mount the host's /proc/sys/net/ipv4/vs", err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: the agent cannot write it; set it on the host in /etc/sysctl.d, or mount the host's /proc/sys/net/ipv4/vs writable", err)
	}
	return err
}
