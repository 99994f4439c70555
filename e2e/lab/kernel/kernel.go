// Package kernel fetches Debian's kernel for virtual machines and prepares it for
// the lab: nothing is installed, the package is unpacked into a cache.
//
// It imports the standard library only, and calls apt-get, dpkg, depmod and
// mkfs.ext4.
package kernel

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// metapackage depends on the current kernel's package.
const metapackage = "linux-image-cloud-amd64"

// Kernel is a prepared kernel. All paths are absolute and must not be written to.
type Kernel struct {
	// Release is the kernel's version as uname -r has it.
	Release string
	// Image is the bootable file.
	Image string
	// Modules is the folder lib/modules/<release>, with depmod's files.
	Modules string
	// Disk is an ext4 image that holds <release>/ with all modules.
	Disk string
}

// Prepare returns the kernel in the cache folder, and fetches it when it is not
// there. Processes that call it at the same time wait for each other.
func Prepare(ctx context.Context, cache string) (Kernel, error) {
	cache, err := filepath.Abs(cache)
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(cache, "kernel.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return Kernel{}, fmt.Errorf("kernel: cache: %w", err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return Kernel{}, fmt.Errorf("kernel: lock the cache: %w", err)
	}
	ready := filepath.Join(cache, "kernel")
	if k, err := find(ready); err == nil {
		return k, nil
	}
	if err := build(ctx, cache, ready); err != nil {
		return Kernel{}, err
	}
	return find(ready)
}

// find describes the kernel in a prepared folder.
func find(dir string) (Kernel, error) {
	images, err := filepath.Glob(filepath.Join(dir, "boot", "vmlinuz-*"))
	if err != nil || len(images) != 1 {
		return Kernel{}, fmt.Errorf("kernel: %s holds %d kernels where one is wanted: remove it", dir, len(images))
	}
	release := strings.TrimPrefix(filepath.Base(images[0]), "vmlinuz-")
	return Kernel{
		Release: release,
		Image:   images[0],
		Modules: filepath.Join(dir, "lib", "modules", release),
		Disk:    filepath.Join(dir, "modules.img"),
	}, nil
}

// build prepares the kernel in a new folder and renames it, so that a build that
// was killed is not taken for a kernel.
func build(ctx context.Context, cache, ready string) error {
	work, err := os.MkdirTemp(cache, "kernel-")
	if err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	defer os.RemoveAll(work)
	if err := fetch(ctx, work); err != nil {
		return err
	}
	k, err := find(work)
	if err != nil {
		return err
	}
	if _, err := run(ctx, work, "depmod", "-b", work, k.Release); err != nil {
		return err
	}
	size := "400M" // sparse; the modules of the cloud kernel have 90 MB
	if _, err := run(ctx, work, "mkfs.ext4", "-q", "-F", "-m", "0", "-O", "^has_journal", "-d", filepath.Dir(k.Modules), k.Disk, size); err != nil {
		return err
	}
	if err := os.RemoveAll(ready); err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	if err := os.Rename(work, ready); err != nil {
		return fmt.Errorf("kernel: %w", err)
	}
	return nil
}

func fetch(ctx context.Context, dir string) error {
	depends, err := run(ctx, dir, "apt-cache", "depends", metapackage)
	if err != nil {
		return err
	}
	name := realPackage(depends)
	if name == "" {
		return fmt.Errorf("kernel: the package lists do not know %s: run apt-get update", metapackage)
	}
	if _, err := run(ctx, dir, "apt-get", "download", "-o", "APT::Sandbox::User=root", name); err != nil {
		return err
	}
	packages, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(packages) != 1 {
		return fmt.Errorf("kernel: apt-get download %s left %d files", name, len(packages))
	}
	if _, err := run(ctx, dir, "dpkg", "-x", packages[0], dir); err != nil {
		return err
	}
	return os.Remove(packages[0])
}

// realPackage finds the package behind the metapackage in apt-cache's answer.
func realPackage(depends string) string {
	for line := range strings.Lines(depends) {
		name, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: ")
		if ok && strings.HasPrefix(name, "linux-image-") {
			return name
		}
	}
	return ""
}

func run(ctx context.Context, dir, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	output, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("kernel: %w: install apt, dpkg, kmod and e2fsprogs", err)
	}
	if err != nil {
		return "", fmt.Errorf("kernel: %s: %w: %s", name, err, output)
	}
	return string(output), nil
}
