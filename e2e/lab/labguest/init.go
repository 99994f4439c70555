package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/truepacs/balancer/e2e/lab/agent"
	"github.com/truepacs/balancer/e2e/lab/guest"
)

type mount struct {
	source, target, fstype, options string
}

func (m mount) do() error {
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.source, m.target, m.fstype, 0, m.options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", m.fstype, m.target, err)
	}
	return nil
}

func mountAll(mounts []mount) error {
	for _, m := range mounts {
		if err := m.do(); err != nil {
			return err
		}
	}
	return nil
}

// runInit brings a machine up from its initramfs.
func runInit() error {
	config, err := prepare()
	if err != nil {
		return err
	}
	if config.RootDisk {
		return startSystem()
	}
	if err := equip(config); err != nil {
		return err
	}
	return serveMachine(config)
}

// prepare mounts the kernel's file systems and loads what disks and network need.
func prepare() (guest.Config, error) {
	var config guest.Config
	err := mountAll([]mount{
		{"proc", "/proc", "proc", ""},
		{"sysfs", "/sys", "sysfs", ""},
		{"devtmpfs", "/dev", "devtmpfs", ""},
		{"tmpfs", "/run", "tmpfs", "mode=755"},
	})
	if err != nil {
		return config, err
	}
	if err := loadBootModules(); err != nil {
		return config, err
	}
	return readConfig(guest.ConfigPath)
}

func readConfig(path string) (guest.Config, error) {
	var config guest.Config
	content, err := os.ReadFile(path)
	if err != nil {
		return config, fmt.Errorf("read the machine's configuration: %w", err)
	}
	if err := json.Unmarshal(content, &config); err != nil {
		return config, fmt.Errorf("configuration %s: %w", path, err)
	}
	return config, nil
}

func loadBootModules() error {
	paths, err := filepath.Glob(filepath.Join(guest.BootModules, "*.ko"))
	if err != nil {
		return err
	}
	sort.Strings(paths)
	for _, path := range paths {
		if err := loadModule(path); err != nil {
			return err
		}
	}
	return nil
}

func loadModule(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := unix.FinitModule(int(file.Fd()), "", 0); err != nil && err != unix.EEXIST {
		return fmt.Errorf("load module %s: %w", path, err)
	}
	return nil
}

// equip makes an initramfs machine a usable host.
func equip(config guest.Config) error {
	err := mountAll([]mount{
		{"devpts", "/dev/pts", "devpts", "mode=620,ptmxmode=666"},
		{"tmpfs", "/dev/shm", "tmpfs", ""},
		{"tmpfs", "/tmp", "tmpfs", "mode=1777"},
		{"cgroup2", "/sys/fs/cgroup", "cgroup2", ""},
		{"debugfs", "/sys/kernel/debug", "debugfs", ""},
	})
	if err != nil {
		return err
	}
	if err := mountModules("/usr/lib/modules"); err != nil {
		return err
	}
	if config.DataDisk {
		if err := mountDisk(guest.SerialData, "/var/lib", 0); err != nil {
			return err
		}
	}
	if err := environment(config.Hostname); err != nil {
		return err
	}
	return modprobe(config.Modules)
}

func environment(hostname string) error {
	for name, value := range map[string]string{
		"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME": "/root", "LANG": "C.UTF-8", "TERM": "dumb",
	} {
		if err := os.Setenv(name, value); err != nil {
			return err
		}
	}
	if err := unix.Sethostname([]byte(hostname)); err != nil {
		return fmt.Errorf("set host name %q: %w", hostname, err)
	}
	return nil
}

func modprobe(modules []string) error {
	if len(modules) == 0 {
		return nil
	}
	output, err := exec.Command("/sbin/modprobe", append([]string{"-a"}, modules...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("modprobe %s: %w: %s", strings.Join(modules, " "), err, output)
	}
	return nil
}

// serveMachine sets up the network and answers the lab.
func serveMachine(config guest.Config) error {
	listener, err := managementListener(config.Management)
	if err != nil {
		return err
	}
	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open rtnetlink: %w", err)
	}
	if err := guest.LoopbackUp(handle); err != nil {
		return err
	}
	if err := guest.ConfigureAll(handle, config.NICs); err != nil {
		return err
	}
	return agent.NewServer().Serve(listener)
}

// halt stops a machine that cannot go on; QEMU then ends and the lab shows the console.
func halt() {
	time.Sleep(200 * time.Millisecond) // the serial port has to send the message
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}
