package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/truepacs/balancer/e2e/lab/guest"
	"golang.org/x/sys/unix"
)

const newRoot = "/newroot"

const unit = `[Unit]
Description=Lab agent
DefaultDependencies=no
Before=network-pre.target
Wants=network-pre.target
[Service]
ExecStart=` + guest.RuntimeDir + `/labguest ` + guest.RoleSystemd + `
Restart=always
RestartSec=200ms
KillMode=process
TasksMax=infinity
LimitNOFILE=1048576
OOMScoreAdjust=-900
`

// startSystem boots the system on the root disk. The image needs no knowledge of
// the lab: unit, program and configuration are put into /run, which systemd takes
// over as it is.
func startSystem() error {
	if err := mountDisk(guest.SerialRoot, newRoot, 0); err != nil {
		return err
	}
	if err := bringModules(); err != nil {
		return err
	}
	if err := installAgent(); err != nil {
		return err
	}
	for _, dir := range []string{"/dev", "/proc", "/sys", "/run"} {
		if err := unix.Mount(dir, newRoot+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move %s to the root disk: %w: the image has no such folder", dir, err)
		}
	}
	return switchRoot()
}

// bringModules mounts the kernel's modules unless the image has them itself.
func bringModules() error {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return err
	}
	release := unix.ByteSliceToString(name.Release[:])
	target := newRoot + "/usr/lib/modules"
	if _, err := os.Stat(filepath.Join(target, release)); err == nil {
		return nil
	}
	return mountModules(target)
}

func installAgent() error {
	wants := "/run/systemd/system/sysinit.target.wants"
	for _, dir := range []string{wants, guest.RuntimeDir} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := copyFile("/init", guest.RuntimeDir+"/labguest", 0o755); err != nil {
		return err
	}
	if err := copyFile(guest.ConfigPath, guest.RuntimeDir+"/config.json", 0o600); err != nil {
		return err
	}
	path := "/run/systemd/system/labguest.service"
	if err := os.WriteFile(path, []byte(unit), 0o644); err != nil {
		return err
	}
	return os.Symlink(path, wants+"/labguest.service")
}

func copyFile(from, to string, mode os.FileMode) error {
	source, err := os.Open(from)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(target, source)
	if closed := target.Close(); err == nil {
		err = closed
	}
	return err
}

func switchRoot() error {
	if err := unix.Chdir(newRoot); err != nil {
		return err
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("make the root disk the root: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return err
	}
	if err := unix.Chdir("/"); err != nil {
		return err
	}
	environment := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb"}
	err := unix.Exec("/sbin/init", []string{"/sbin/init"}, environment)
	return fmt.Errorf("start /sbin/init of the root disk: %w: the image needs systemd", err)
}

// runSystemd is the agent as a service of the booted system.
func runSystemd() error {
	config, err := readConfig(guest.RuntimeDir + "/config.json")
	if err != nil {
		return err
	}
	if err := environment(config.Hostname); err != nil {
		return err
	}
	if err := modprobe(config.Modules); err != nil {
		return err
	}
	return serveMachine(config)
}
